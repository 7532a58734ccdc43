#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "mesh/discovery/lkg.h"

namespace rs::mesh {
namespace {

LastKnownGood sample() {
  LastKnownGood view{.revision = 42, .saved_at = WallTime{std::chrono::seconds(1000)}};
  ServiceView service{.key = {"bank", "payments"}, .cluster_ips = {"10.43.0.17"}, .revision = 41, .from_disk = true};
  service.ports.push_back({.name = "http",
                           .port = 80,
                           .target_port = "web",
                           .endpoints = Set{40, {Endpoint{.ip = "10.42.0.5", .port = 8080, .ready = false, .pod_uid = "u"}}}});
  service.ports.push_back({.name = "idle", .port = 81, .target_port = "81", .endpoints = Empty{39}});
  service.ports.push_back({.name = "odd", .port = 82, .target_port = "82", .endpoints = Unknown{}});
  view.services.push_back(service);
  return view;
}

TEST(LastKnownGood, ReadsBackWhatWasWritten) {
  auto decoded = decode_lkg(encode_lkg(sample()));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->revision, 42);
  EXPECT_EQ(decoded->saved_at, sample().saved_at);
  EXPECT_EQ(decoded->services, sample().services);
}

TEST(LastKnownGood, AnyDamageIsNoticed) {
  auto bytes = encode_lkg(sample());
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    auto decoded = decode_lkg(damaged);
    // A flipped case of a hex digit of the checksum is the same number.
    if (decoded) EXPECT_EQ(decoded->services, sample().services) << i;
    EXPECT_FALSE(decode_lkg(std::string_view(bytes).substr(0, i)).has_value()) << i;
  }
}

TEST(LastKnownGood, TheFileSurvivesADamagedNewest) {
  auto pattern = (std::filesystem::temp_directory_path() / "rs-lkg-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  auto path = pattern + "/view";
  EXPECT_EQ(read_lkg(path).error().code, Code::kNotFound);
  ASSERT_TRUE(write_lkg(path, encode_lkg(sample())).has_value());
  auto newer = sample();
  newer.revision = 43;
  ASSERT_TRUE(write_lkg(path, encode_lkg(newer)).has_value());
  EXPECT_EQ(read_lkg(path).value().revision, 43);
  std::ofstream(path, std::ios::trunc) << "half";
  EXPECT_EQ(read_lkg(path).value().revision, 42);
  std::filesystem::remove_all(pattern);
}

}  // namespace
}  // namespace rs::mesh
