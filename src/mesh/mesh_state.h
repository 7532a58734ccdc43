// The inner state of Mesh: worker threads, and traffic over the last seconds. Private to mesh.cpp and mesh_view.cpp.
#pragma once

#include "mesh/mesh.h"
#include "mesh/proxy/worker.h"

namespace rs::mesh {

struct Mesh::Thread {
  Thread(async::Loop& control, const MeshOptions& options, metrics::Registry& registry, size_t number)
      : own_loop(options.worker_threads == 0 ? nullptr : std::make_unique<async::SystemLoop>()),
        network(own_loop ? *own_loop : control),
        worker(own_loop ? *own_loop : control, network, options.limits, registry, number),
        stopping(own_loop ? *own_loop : control) {}

  void begin() {
    worker.start();
    if (own_loop) thread = std::thread([this] { own_loop->run(); });
  }

  template <class Receive>
  void ask_for_stats(async::Loop& control, std::shared_ptr<bool> alive, Receive receive) {
    auto ask = [this, &control, alive, receive] {
      auto taken = worker.take_stats();
      if (!taken) return;
      auto stats = std::make_shared<const WorkerStats>(std::move(*taken));
      control.post([alive, receive, stats] {
        if (*alive) receive(stats);
      });
    };
    if (own_loop) own_loop->post(ask);
    else ask();
  }

  std::unique_ptr<async::SystemLoop> own_loop;
  net::TcpNetwork network;
  Worker worker;
  async::TaskGroup stopping;
  uint64_t applied = 0;        // the last update it has confirmed; control loop
  std::thread thread;
};

inline async::awaitable<void> stop_worker(Worker& worker, async::SystemLoop& loop, Duration grace) {
  co_await worker.stop(grace);
  loop.stop();
}

// What went through one port of a service in the last kSeconds.
struct Mesh::Traffic {
  static constexpr size_t kSeconds = 10;
  struct Second {
    uint64_t requests = 0, answers = 0, successes = 0, retries = 0;
    LatencyHistogram latency;
  };
  void add(size_t worker, const PortStats& stats, MonoTime now) {
    auto& second = seconds[current];
    second.requests += stats.requests;
    second.answers += stats.latency.total();
    second.successes += stats.successes;
    second.retries += stats.retries;
    second.latency.merge(stats.latency);
    endpoints[worker] = stats.endpoints;
    last = now;
  }
  void turn(MonoTime now) {
    if (now - last > std::chrono::seconds(kSeconds + 2)) return;  // all is zero already
    current = (current + 1) % kSeconds;
    seconds[current] = {};
  }
  Second sum() const {
    Second total;
    for (const auto& second : seconds) {
      total.requests += second.requests;
      total.answers += second.answers;
      total.successes += second.successes;
      total.retries += second.retries;
      total.latency.merge(second.latency);
    }
    return total;
  }
  std::array<Second, kSeconds> seconds{};
  size_t current = 0;
  MonoTime last{};
  std::map<size_t, std::vector<EndpointStats>> endpoints;  // by worker
};

}  // namespace rs::mesh
