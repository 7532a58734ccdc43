// Watchers: many watchers on some streams on some connections, created and counted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "scenario.h"

namespace rs::bench {

// A value that begins with the time at which its put was sent (or due).
std::string stamped(int64_t ns, size_t bytes);

class Watchers : public StreamHandler {
 public:
  Watchers(Loop& loop, const ServerProcess& server, uint32_t connections);
  // count watchers on the streams, evenly; waits until each is created.
  void create(uint32_t streams, uint32_t count,
              const std::function<std::string(uint32_t index)>& key);
  uint64_t told() const { return told_; }
  int64_t last_told_ns() const { return last_told_ns_; }
  // Of each event, from the time in its value; reset when taken.
  Histogram take_latency();

  void on_message(Stream& stream, std::string_view message) override;

 private:
  Loop& loop_;
  std::vector<std::unique_ptr<Connection>> connections_;
  uint64_t created_ = 0, told_ = 0;
  int64_t last_told_ns_ = 0;
  Histogram latency_;
};

}  // namespace rs::bench
