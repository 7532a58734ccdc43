// EventRecorder: writes Kubernetes Events (core/v1) about objects, counting repeats; never waits, never fails its caller.
#pragma once

#include <map>

#include "async/event.h"
#include "client/client.h"

namespace rs::client {

class EventRecorder {
 public:
  static constexpr size_t kQueueLimit = 1000;   // beyond it events are dropped, and counted
  EventRecorder(Client& client, std::string component, std::string host = {});
  ~EventRecorder();
  void start();
  awaitable<void> stop();
  // type: Normal or Warning; reason in CamelCase; field_path e.g. spec.containers{app}.
  void record(const Json& object, std::string_view type, std::string_view reason, std::string message,
              std::string field_path = {});

 private:
  struct Item {
    Json event;
    std::string dedup_key;
  };
  awaitable<void> run();
  Client& client_;
  std::string component_, host_;
  async::Channel<Item> queue_;
  std::map<std::string, std::pair<std::string, int64_t>> seen_;  // dedup key -> event name, count
  async::TaskGroup tasks_;
};

}  // namespace rs::client
