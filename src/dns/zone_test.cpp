#include <gtest/gtest.h>

#include "dns/zone.h"

namespace rs::dns {
namespace {

// As text: "NOERROR 10.43.0.17", "NXDOMAIN", …
std::string text(const Zone& zone, std::string name, Type type = Type::kA) {
  Query query{.name = std::move(name), .type = type};
  auto reply = zone.answer(query);
  if (!reply) return "not ours";
  std::string out(to_string(reply->rcode));
  std::vector<std::string> parts;
  for (const auto& record : reply->answers) {
    std::string part;
    if (auto* address = std::get_if<Address>(&record.data)) part = address->ip;
    if (auto* target = std::get_if<Name>(&record.data)) part = target->name;
    if (auto* srv = std::get_if<Srv>(&record.data)) part = fmt::format("{} {}", srv->port, srv->target);
    if (auto* txt = std::get_if<Text>(&record.data)) part = txt->text;
    if (std::get_if<Soa>(&record.data) != nullptr) part = "soa";
    parts.push_back(part);
  }
  std::sort(parts.begin(), parts.end());
  for (const auto& part : parts) out += " " + part;
  return out;
}

struct ZoneTest : testing::Test {
  Zone zone;
  void put_service(std::string name, std::string_view spec) {
    auto object = parse_json(fmt::format(R"({{"spec":{}}})", spec));
    zone.apply_service({"bank", name}, &*object);
  }
  void put_slice(std::string service, std::string_view endpoints) {
    auto object = parse_json(fmt::format(R"({{"metadata":{{"labels":{{"kubernetes.io/service-name":"{}"}}}},"endpoints":{},
      "ports":[{{"name":"http","port":8080,"protocol":"TCP"}}]}})", service, endpoints));
    zone.apply_slice({"bank", service + "-1"}, &*object);
  }
  ZoneTest() {
    put_service("payments", R"({"clusterIP":"10.43.0.17","clusterIPs":["10.43.0.17","fd00::17"],"ports":[{"name":"http","port":80}]})");
    put_service("ledger", R"({"clusterIP":"None","ports":[{"name":"http","port":80}]})");
    put_slice("ledger", R"([{"addresses":["10.42.0.5"],"hostname":"ledger-0"},{"addresses":["10.42.0.6"]},
                            {"addresses":["10.42.0.7"],"conditions":{"ready":false}}])");
    put_service("empty", R"({"clusterIP":"None","ports":null})");
    put_slice("empty", "null");
    put_service("outside", R"({"type":"ExternalName","externalName":"api.example.com."})");
    auto pod = parse_json(R"({"status":{"podIP":"10.42.0.5","phase":"Running"}})");
    zone.apply_pod({"bank", "ledger-0"}, &*pod);
    zone.set_synced(7);
  }
};

TEST_F(ZoneTest, ServicesByEveryRecord) {
  EXPECT_EQ(text(zone, "payments.bank.svc.cluster.local"), "NOERROR 10.43.0.17");
  EXPECT_EQ(text(zone, "payments.bank.svc.cluster.local", Type::kAaaa), "NOERROR fd00::17");
  EXPECT_EQ(text(zone, "payments.bank.svc.cluster.local", Type::kTxt), "NOERROR");
  EXPECT_EQ(text(zone, "_http._tcp.payments.bank.svc.cluster.local", Type::kSrv), "NOERROR 80 payments.bank.svc.cluster.local");
  EXPECT_EQ(text(zone, "_http._udp.payments.bank.svc.cluster.local", Type::kSrv), "NXDOMAIN");
  EXPECT_EQ(text(zone, "17.0.43.10.in-addr.arpa", Type::kPtr), "NOERROR payments.bank.svc.cluster.local");
  EXPECT_EQ(text(zone, "outside.bank.svc.cluster.local"), "NOERROR api.example.com");
}

TEST_F(ZoneTest, HeadlessServicesAreTheirReadyEndpoints) {
  EXPECT_EQ(text(zone, "ledger.bank.svc.cluster.local"), "NOERROR 10.42.0.5 10.42.0.6");
  EXPECT_EQ(text(zone, "ledger-0.ledger.bank.svc.cluster.local"), "NOERROR 10.42.0.5");
  EXPECT_EQ(text(zone, "10-42-0-6.ledger.bank.svc.cluster.local"), "NOERROR 10.42.0.6");
  EXPECT_EQ(text(zone, "ledger-9.ledger.bank.svc.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(text(zone, "_http._tcp.ledger.bank.svc.cluster.local", Type::kSrv),
            "NOERROR 8080 10-42-0-6.ledger.bank.svc.cluster.local 8080 ledger-0.ledger.bank.svc.cluster.local");
  EXPECT_EQ(text(zone, "5.0.42.10.in-addr.arpa", Type::kPtr), "NOERROR ledger-0.ledger.bank.svc.cluster.local");
  EXPECT_EQ(text(zone, "empty.bank.svc.cluster.local"), "NOERROR");
}

TEST_F(ZoneTest, SearchListsGoOnAfterWhatDoesNotExist) {
  // "payments.bank" asked from namespace bank with the usual search list.
  EXPECT_EQ(text(zone, "payments.bank.bank.svc.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(text(zone, "payments.bank.svc.cluster.local"), "NOERROR 10.43.0.17");
  EXPECT_EQ(text(zone, "nothing.bank.svc.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(text(zone, "bank.svc.cluster.local"), "NOERROR");
  EXPECT_EQ(text(zone, "nobody.svc.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(text(zone, "svc.cluster.local"), "NOERROR");
  EXPECT_EQ(text(zone, "x.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(text(zone, "cluster.local", Type::kSoa), "NOERROR soa");
  EXPECT_EQ(text(zone, "dns-version.cluster.local", Type::kTxt), "NOERROR 1.1.0");
  EXPECT_EQ(text(zone, "www.example.com"), "not ours");
  EXPECT_EQ(text(zone, "notcluster.local"), "not ours");
  EXPECT_EQ(text(zone, "8.8.8.8.in-addr.arpa", Type::kPtr), "not ours");
}

TEST_F(ZoneTest, PodsThatAreThere) {
  EXPECT_EQ(text(zone, "10-42-0-5.bank.pod.cluster.local"), "NOERROR 10.42.0.5");
  EXPECT_EQ(text(zone, "10-42-0-99.bank.pod.cluster.local"), "NXDOMAIN");
  zone.apply_pod({"bank", "ledger-0"}, nullptr);
  EXPECT_EQ(text(zone, "10-42-0-5.bank.pod.cluster.local"), "NXDOMAIN");
}

TEST_F(ZoneTest, DeletedAndChangedThingsAreGone) {
  put_service("payments", R"({"clusterIP":"10.43.0.18"})");
  EXPECT_EQ(text(zone, "payments.bank.svc.cluster.local"), "NOERROR 10.43.0.18");
  EXPECT_EQ(text(zone, "17.0.43.10.in-addr.arpa", Type::kPtr), "not ours");
  zone.apply_service({"bank", "payments"}, nullptr);
  EXPECT_EQ(text(zone, "payments.bank.svc.cluster.local"), "NXDOMAIN");
  zone.apply_slice({"bank", "ledger-1"}, nullptr);
  EXPECT_EQ(text(zone, "ledger.bank.svc.cluster.local"), "NOERROR");
}

TEST(Zone, BeforeAllIsKnownNothingIsSaidNotToExist) {
  Zone zone;
  EXPECT_EQ(text(zone, "payments.bank.svc.cluster.local"), "SERVFAIL");
}

TEST(Zone, ReverseNames) {
  EXPECT_EQ(reverse_ip("17.0.43.10.in-addr.arpa"), "10.43.0.17");
  EXPECT_EQ(reverse_ip("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"), "fd00::1");
  EXPECT_EQ(reverse_ip("x.in-addr.arpa"), "");
}

}  // namespace
}  // namespace rs::dns
