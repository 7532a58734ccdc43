// The mesh as a whole: following the API, draining, and starting without it.
#include "mesh/test_bench.h"

#include <filesystem>

namespace rs::mesh::testing {
namespace {

using MeshWhole = MeshTest;

TEST_F(MeshWhole, FollowsScalingToZeroAndBack) {
  RawServer server(loop, always(ok("hello")));
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    EXPECT_EQ((co_await fetch("payments.bank")).status(), 200);
    for (Json shape : {Json(nullptr), Json(JsonArray())}) {
      fake.put("endpointslices", "bank", "payments-0",
               JsonObject{{"metadata", JsonObject{{"labels", JsonObject{{"kubernetes.io/service-name", "payments"}}}}}, {"endpoints", shape}, {"ports", shape}});
      co_await until_state("payments.bank", "Empty");
      EXPECT_EQ((co_await fetch("payments.bank")).status(), 503);
      endpoints("payments", {{server.port()}});
      co_await until_state("payments.bank", "Set");
      EXPECT_EQ((co_await fetch("payments.bank")).status(), 200);
    }
    fake.remove("services", "bank", "payments");
    co_await until_state("payments.bank", "Absent");
    EXPECT_EQ((co_await fetch("payments.bank")).status(), 404);
    co_await server.stop();
  });
}

TEST_F(MeshWhole, APodsOwnNamespaceIsItsDefault) {
  RawServer server(loop, always(ok("hello")));
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    EXPECT_EQ((co_await fetch("payments")).status(), 404);
    fake.put("pods", "bank", "edge-1", JsonObject{{"status", JsonObject{{"phase", "Running"}, {"podIP", "127.0.0.1"}}}});
    for (int i = 0; i < 1000; ++i) {
      if ((co_await fetch("payments")).status() == 200) break;
      co_await loop.sleep(1ms);
    }
    EXPECT_EQ((co_await fetch("payments")).status(), 200);
    co_await server.stop();
  });
}

TEST_F(MeshWhole, AfterDrainNothingNewGoesThere) {
  options.worker_threads = 2;
  RawServer one(loop, always(ok("one"))), two(loop, always(ok("two")));
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{one.port(), true, "u1"}, {two.port(), true, "u2"}});
    co_await begin();
    for (int i = 0; i < 40; ++i) co_await fetch("payments.bank");
    EXPECT_GT(one.requests, 0);
    co_await mesh->drain("u1", {"127.0.0.1"}, 2s);
    int before = one.requests;
    for (int i = 0; i < 40; ++i) EXPECT_EQ((co_await fetch("payments.bank")).body, "two");
    EXPECT_EQ(one.requests, before);
    auto view = mesh->view("payments.bank");
    EXPECT_THAT(to_text(view), ::testing::HasSubstr("\"state\":\"draining\""));
    co_await one.stop();
    co_await two.stop();
  });
}

TEST_F(MeshWhole, ServesFromDiskWhileTheApiIsAwayAndSaysSo) {
  auto folder = (std::filesystem::temp_directory_path() / "rs-mesh-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  options.data_dir = folder;
  RawServer server(loop, always(ok("hello")));
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    EXPECT_EQ((co_await fetch("payments.bank")).status(), 200);
    co_await mesh->stop(0s);
    co_await informers.stop();
    // A new process, and no API.
    fake.down = true;
    client::Informers second(client);
    mesh = std::make_unique<Mesh>(loop, second, options, registry);
    EXPECT_TRUE(mesh->start().has_value());
    second.start();
    EXPECT_TRUE(mesh->ready());
    EXPECT_TRUE(mesh->freshness().from_disk);
    EXPECT_EQ((co_await fetch("payments.bank")).status(), 200);
    auto other = co_await fetch("other.bank");
    EXPECT_EQ(other.status(), 503) << "without the API nothing can be said not to exist";
    EXPECT_EQ(other.header("l5d-err"), "view-unknown");
    EXPECT_THAT(to_text(mesh->view()), ::testing::HasSubstr("\"fromDisk\":true"));
    // The API is back, and the service has moved on.
    fake.remove("endpointslices", "bank", "payments-0");
    fake.down = false;
    co_await until_state("payments.bank", "Empty");
    EXPECT_FALSE(mesh->freshness().from_disk);
    co_await mesh->stop(0s);
    mesh.reset();
    co_await second.stop();
    co_await server.stop();
  });
  std::filesystem::remove_all(folder);
}

TEST_F(MeshWhole, AnObjectThatCannotBeUnderstoodSpoilsOnlyItself) {
  RawServer server(loop, always(ok("hello")));
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    fake.put("services", "bank", "odd", JsonObject{{"spec", JsonObject{{"ports", "what"}}}});
    co_await begin();
    EXPECT_EQ((co_await fetch("payments.bank")).status(), 200);
    EXPECT_EQ((co_await fetch("odd.bank")).status(), 503);
    fake.put("endpointslices", "bank", "payments-0",
             JsonObject{{"metadata", JsonObject{{"labels", JsonObject{{"kubernetes.io/service-name", "payments"}}}}}, {"endpoints", 5}});
    co_await until([&] { return array(mesh->view(), "quarantined").size() == 2; });
    EXPECT_EQ((co_await fetch("payments.bank")).status(), 200);
    co_await server.stop();
  });
}

TEST_F(MeshWhole, CountsTrafficAndAge) {
  RawServer server(loop, always(ok("hello")));
  run([&]() -> awaitable<void> {
    service("payments");
    endpoints("payments", {{server.port()}});
    co_await begin();
    for (int i = 0; i < 10; ++i) co_await fetch("payments.bank");
    co_await until([&] {
      auto view = mesh->view("payments.bank");
      const auto* traffic = find(array(array(view, "services")[0], "ports")[0], "traffic");
      return traffic != nullptr && find(*traffic, "successRate") != nullptr && find(*traffic, "successRate")->is_double() &&
             find(*traffic, "requestsPerSecond")->to_number<double>() >= 1.0;
    });
    auto text = registry.text();
    EXPECT_THAT(text, ::testing::HasSubstr("request_total{"));
    EXPECT_THAT(text, ::testing::HasSubstr("mesh_discovery_age_seconds{source=\"api\"}"));
    EXPECT_THAT(text, ::testing::HasSubstr("classification=\"success\""));
    co_await server.stop();
  });
}

TEST_F(MeshWhole, ATakenPortIsSaid) {
  run([&]() -> awaitable<void> {
    auto taken = network.listen({"127.0.0.1", 0});
    options.listen = (*taken)->local();
    for (size_t threads : {1, 2}) {
      options.worker_threads = threads;
      Mesh other(loop, informers, options, registry);
      auto started = other.start();
      EXPECT_EQ(started.error().code, Code::kAlreadyExists);
      co_await other.stop();
    }
  });
}

}  // namespace
}  // namespace rs::mesh::testing
