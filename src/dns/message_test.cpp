#include <gtest/gtest.h>

#include "dns/message.h"

namespace rs::dns {
namespace {

std::string ask(std::string_view name, uint16_t type, bool edns = false) {
  std::string out("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", 11);
  out += edns ? '\x01' : '\x00';
  while (!name.empty()) {
    auto dot = name.find('.');
    auto label = name.substr(0, dot);
    out += static_cast<char>(label.size());
    out += label;
    name = dot == name.npos ? std::string_view() : name.substr(dot + 1);
  }
  out += '\0';
  out += std::string{static_cast<char>(type >> 8), static_cast<char>(type), 0, 1};
  if (edns) out += std::string("\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00", 11);
  return out;
}

TEST(DnsMessage, ReadsAQuestion) {
  auto query = parse_query(ask("Payments.Bank.svc.cluster.local", 28, true));
  ASSERT_TRUE(query.has_value());
  EXPECT_EQ(query->id, 0x1234);
  EXPECT_EQ(query->name, "payments.bank.svc.cluster.local");
  EXPECT_EQ(query->type, Type::kAaaa);
  EXPECT_TRUE(query->edns);
  EXPECT_EQ(query->udp_bytes, kEdnsBytes);
  EXPECT_TRUE(query->recursion_desired);
}

// RFC 1035 4.1.4: a later name may point at an earlier one. The bytes are worked out by hand.
TEST(DnsMessage, WritesWithPointersAndTheQuestionsOwnCase) {
  auto query = parse_query(ask("A.B", 1));
  Reply reply{.answers = {{{}, Type::kCname, 5, Name{"x.b"}}}};
  auto bytes = encode_reply(*query, reply, 512);
  std::string expected("\x12\x34\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00", 12);
  expected += std::string("\x01" "A" "\x01" "B" "\x00\x00\x01\x00\x01", 9);
  expected += std::string("\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x05\x00\x04\x01x\xc0\x0e", 16);
  EXPECT_EQ(bytes, expected);
}

TEST(DnsMessage, WhatDoesNotFitIsMarkedTruncated) {
  auto query = parse_query(ask("many.bank.svc.cluster.local", 1));
  Reply reply;
  for (int i = 0; i < 100; ++i) reply.answers.push_back({{}, Type::kA, 5, Address{fmt::format("10.42.0.{}", i)}});
  auto bytes = encode_reply(*query, reply, 512);
  EXPECT_LE(bytes.size(), 512u);
  EXPECT_TRUE(bytes[2] & 0x02);
  auto whole = encode_reply(*query, reply, kTcpBytes);
  EXPECT_FALSE(whole[2] & 0x02);
  EXPECT_EQ(static_cast<uint8_t>(whole[7]), 100);
}

TEST(DnsMessage, DamageIsRefused) {
  auto good = ask("payments.bank", 1, true);
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(parse_query(good.substr(0, size)).has_value()) << size;
  auto loop = ask("", 1);
  loop.replace(12, 1, "\xc0\x0c");
  EXPECT_FALSE(parse_query(loop).has_value());
  EXPECT_EQ(encode_format_error(loop).substr(0, 4), std::string("\x12\x34\x80\x01", 4));
  EXPECT_EQ(encode_format_error("x"), "");
  auto reply = good;
  reply[2] = '\x80';
  EXPECT_EQ(encode_format_error(reply), "") << "replies are never answered";
}

}  // namespace
}  // namespace rs::dns
