// Several clients create, change and delete the same objects; at the end an informer's copy is what a list says, it saw
// changes in order, and two runs of one seed are the same run.
#include <gtest/gtest.h>

#include "sim_cluster.h"

namespace rs::sim {
namespace {

using namespace std::chrono_literals;
using async::awaitable;
using client::resources::kConfigMaps;

Json config_map(std::string_view name, int64_t value) {
  return JsonObject{{"apiVersion", "v1"},
                    {"kind", "ConfigMap"},
                    {"metadata", JsonObject{{"name", name}, {"namespace", "default"}}},
                    {"data", JsonObject{{"value", std::to_string(value)}}}};
}

awaitable<void> writer(SimCluster& cluster, client::Client& client, int steps) {
  auto& loop = cluster.loop();
  for (int step = 0; step < steps; ++step) {
    co_await loop.sleep(Duration(loop.random().between(0, 50'000'000)));
    std::string name = fmt::format("shared-{}", loop.random().below(5));
    Result<Json> outcome;
    switch (loop.random().below(3)) {
      case 0:
        outcome = co_await client.create(kConfigMaps, config_map(name, step));
        break;
      case 1: {
        auto known = co_await client.get(kConfigMaps, {"default", name});
        if (known) {
          set(*known, Json(std::to_string(step)), "data", "value");
          co_await loop.sleep(Duration(loop.random().between(0, 5'000'000)));  // somebody else may be faster: a conflict
          outcome = co_await client.update(kConfigMaps, std::move(*known));
        } else {
          outcome = std::move(known);
        }
        break;
      }
      default:
        outcome = co_await client.remove(kConfigMaps, {"default", name});
    }
    cluster.note(outcome ? to_text(*outcome) : outcome.error().message);
  }
}

struct Outcome {
  uint64_t fingerprint = 0;
  std::map<std::string, std::string> listed, watched;
  bool in_order = true;
  int changes = 0;
};

awaitable<void> workload(SimCluster& cluster, Outcome& outcome) {
  auto& loop = cluster.loop();
  client::Informer informer(cluster.client("watcher"), kConfigMaps);
  int64_t last = 0;
  informer.on_change([&](const api::ObjectKey& key, const client::ObjectPtr&, const client::ObjectPtr& now) {
    ++outcome.changes;
    if (now) {
      int64_t version = api::resource_version_of(*now);
      outcome.in_order = outcome.in_order && version > last;
      last = version;
    }
    cluster.note(api::to_string(key));
  });
  informer.start();
  auto synced = co_await informer.wait_synced(10s);
  EXPECT_TRUE(synced.has_value());
  last = 0;
  async::TaskGroup writers(loop);
  for (int i = 0; i < 4; ++i) writers.spawn("writer", writer(cluster, cluster.client(fmt::format("writer-{}", i)), 50));
  co_await writers.join();
  co_await loop.sleep(2s);  // virtual: the last events and a bookmark arrive
  auto list = co_await cluster.client("reader").list(kConfigMaps);
  EXPECT_TRUE(list.has_value());
  if (list)
    for (const Json& item : list->items) outcome.listed[api::to_string(api::key_of(item))] = str(item, "metadata", "resourceVersion");
  for (const auto& [key, object] : informer.objects())
    outcome.watched[api::to_string(key)] = str(*object, "metadata", "resourceVersion");
  EXPECT_LT(informer.freshness().age, 2s);
  EXPECT_EQ(informer.freshness().revision, list->resource_version);
  co_await informer.stop();
}

Outcome run_seed(uint64_t seed) {
  Outcome outcome;
  SimCluster cluster(seed);
  EXPECT_TRUE(cluster.run(workload(cluster, outcome)));
  outcome.fingerprint = cluster.fingerprint();
  return outcome;
}

TEST(ApiSimulation, AnInformerSeesWhatAListSaysAndASeedIsOneRun) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Outcome first = run_seed(seed);
    EXPECT_EQ(first.listed, first.watched);
    EXPECT_TRUE(first.in_order);
    EXPECT_GT(first.changes, 20);
    EXPECT_EQ(first.fingerprint, run_seed(seed).fingerprint);
  }
}

}  // namespace
}  // namespace rs::sim
