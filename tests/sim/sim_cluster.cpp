#include "sim_cluster.h"

#include "base/assert.h"

namespace rs::sim {

SimCluster::SimCluster(uint64_t seed) : loop_(clock_, seed) {
  ASSERT(loop_.run(start(), std::chrono::minutes(1)), "the simulated cluster did not start");
}

SimCluster::~SimCluster() { ASSERT(loop_.run(stop(), std::chrono::minutes(1)), "the simulated cluster did not stop"); }

async::awaitable<void> SimCluster::start() {
  auto opened = co_await store::Embedded::open(loop_, {});
  ASSERT(opened.has_value());
  store_ = std::move(*opened);
  api_ = std::make_unique<server::ApiServer>(loop_, *store_, api::builtin_kinds());
  auto started = co_await api_->start();
  ASSERT(started.has_value());
}

async::awaitable<void> SimCluster::stop() {
  co_await api_->stop();
  co_await store_->close();
}

client::Client& SimCluster::client(const std::string& name) {
  transports_.push_back(api_->in_process({.name = name, .groups = {server::kMasters, server::kAuthenticated}}));
  clients_.push_back(std::make_unique<client::Client>(loop_, *transports_.back(), name));
  return *clients_.back();
}

void SimCluster::note(std::string_view what) {
  auto mix = [this](std::string_view bytes) {
    for (char c : bytes) fingerprint_ = (fingerprint_ ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  };
  mix(what);
  mix(std::to_string(loop_.now().since_epoch.count()));
}

}  // namespace rs::sim
