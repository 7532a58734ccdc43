#include "client/events.h"

#include "base/log.h"

namespace rs::client {

EventRecorder::EventRecorder(Client& client, std::string component, std::string host)
    : client_(client),
      component_(std::move(component)),
      host_(std::move(host)),
      queue_(client.loop(), kQueueLimit),
      tasks_(client.loop()) {}

EventRecorder::~EventRecorder() = default;
void EventRecorder::start() { tasks_.spawn("events of " + component_, run()); }
awaitable<void> EventRecorder::stop() { return tasks_.stop(); }

void EventRecorder::record(const Json& object, std::string_view type, std::string_view reason, std::string message,
                           std::string field_path) {
  static constexpr size_t kMessageLimit = 1024;  // events.k8s.io note limit
  if (message.size() > kMessageLimit) message.resize(kMessageLimit);
  auto& loop = client_.loop();
  std::string now = rfc3339(loop.wall());
  std::string ns(api::namespace_of(object));
  JsonObject involved{{"kind", str(object, "kind")},
                      {"apiVersion", str(object, "apiVersion")},
                      {"name", api::name_of(object)},
                      {"uid", api::uid_of(object)}};
  if (!ns.empty()) involved["namespace"] = ns;
  if (auto version = str(object, "metadata", "resourceVersion"); !version.empty()) involved["resourceVersion"] = version;
  if (!field_path.empty()) involved["fieldPath"] = field_path;
  JsonObject source{{"component", component_}};
  if (!host_.empty()) source["host"] = host_;
  Json event = JsonObject{
      {"apiVersion", "v1"},
      {"kind", "Event"},
      {"metadata",
       JsonObject{{"name", fmt::format("{}.{:016x}", api::name_of(object), loop.random().next())},
                  {"namespace", ns.empty() ? "default" : ns}}},
      {"involvedObject", std::move(involved)},
      {"reason", reason},
      {"message", message},
      {"source", std::move(source)},
      {"firstTimestamp", now},
      {"lastTimestamp", now},
      {"count", 1},
      {"type", type},
      {"reportingComponent", component_},
      {"reportingInstance", host_},
  };
  std::string dedup = fmt::format("{}\n{}\n{}\n{}\n{}", api::uid_of(object), type, reason, message, field_path);
  if (!queue_.try_push({std::move(event), std::move(dedup)}))
    log::warning("client", "event dropped: the queue is full", {{"reason", reason}});
}

awaitable<void> EventRecorder::run() {
  static constexpr size_t kSeenLimit = 4096;
  while (auto item = co_await queue_.pop()) {
    std::string ns(api::namespace_of(item->event));
    auto known = seen_.find(item->dedup_key);
    if (known != seen_.end()) {
      auto& [name, count] = known->second;
      Json patch = JsonObject{{"count", count + 1}, {"lastTimestamp", item->event.at("lastTimestamp")}};
      auto patched = co_await client_.patch(resources::kEvents, {ns, name}, PatchType::kStrategic, std::move(patch));
      if (patched) {
        ++count;
        continue;
      }
      if (patched.error().code != Code::kNotFound) continue;
    }
    if (seen_.size() > kSeenLimit) seen_.clear();
    std::string name(api::name_of(item->event));
    auto created = co_await client_.create(resources::kEvents, std::move(item->event));
    if (created) seen_[item->dedup_key] = {name, 1};
    else log::debug("client", "event not written", {{"error", created.error().message}});
  }
}

}  // namespace rs::client
