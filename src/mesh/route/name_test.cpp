#include <gtest/gtest.h>

#include "mesh/route/name.h"

namespace rs::mesh {
namespace {

TEST(Name, EveryFormOfAServiceName) {
  struct Case {
    const char *authority, *ns, *service, *hostname;
    int port;
  };
  for (const auto& c : {Case{"payments", "shop", "payments", "", 0}, Case{"payments:8080", "shop", "payments", "", 8080},
                        Case{"payments.bank", "bank", "payments", "", 0}, Case{"Payments.Bank:80", "bank", "payments", "", 80},
                        Case{"payments.bank.svc", "bank", "payments", "", 0},
                        Case{"payments.bank.svc.cluster.local", "bank", "payments", "", 0},
                        Case{"payments.bank.svc.cluster.local.:81", "bank", "payments", "", 81},
                        Case{"ledger-0.ledger.bank", "bank", "ledger", "ledger-0", 0},
                        Case{"ledger-0.ledger.bank.svc.cluster.local", "bank", "ledger", "ledger-0", 0},
                        Case{"a.svc", "svc", "a", "", 0}}) {
    auto name = parse_name(c.authority, "shop");
    ASSERT_TRUE(name.has_value()) << c.authority;
    EXPECT_EQ(name->service, (ServiceKey{c.ns, c.service})) << c.authority;
    EXPECT_EQ(name->hostname, c.hostname) << c.authority;
    EXPECT_EQ(name->port.value_or(0), c.port) << c.authority;
  }
}

TEST(Name, Addresses) {
  EXPECT_EQ(parse_name("10.43.0.17:80", "x").value(), (Name{.ip = "10.43.0.17", .port = 80}));
  EXPECT_EQ(parse_name("[fd00::1]:80", "x").value(), (Name{.ip = "fd00::1", .port = 80}));
  EXPECT_EQ(parse_name("fd00::1", "x").value(), (Name{.ip = "fd00::1"}));
}

TEST(Name, WhatIsNoName) {
  for (auto text : {"", "payments:", "payments:0", "payments:70000", "pay ments", "-a", "a..b", "1.2.3.4.5", "[::1", "[::1]x",
                    "user@payments", "payments/x"})
    EXPECT_EQ(parse_name(text, "x").error().code, Code::kInvalid) << text;
  for (auto text : {"api.example.com.org", "a.b.c.d.svc.cluster.local", "svc.cluster.local", "a.b.pod.cluster.local"})
    EXPECT_EQ(parse_name(text, "x").error().code, Code::kNotFound) << text;
  EXPECT_EQ(parse_name(std::string(400, 'a'), "x").error().code, Code::kInvalid);
}

TEST(ChoosePort, WrittenThenEightyThenHttpThenTheOnlyOne) {
  ServiceView service;
  service.ports = {{.name = "dns", .port = 53, .protocol = "UDP"}, {.name = "grpc", .port = 9000}};
  EXPECT_EQ(choose_port(service, {})->port, 9000);
  EXPECT_EQ(choose_port(service, 53), nullptr);
  service.ports.push_back({.name = "http", .port = 8080});
  EXPECT_EQ(choose_port(service, {})->port, 8080);
  service.ports.push_back({.name = "web", .port = 80});
  EXPECT_EQ(choose_port(service, {})->port, 80);
  EXPECT_EQ(choose_port(service, 9000)->port, 9000);
  EXPECT_EQ(choose_port(service, 81), nullptr);
}

}  // namespace
}  // namespace rs::mesh
