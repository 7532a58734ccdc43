#include "watchers.h"

#include <cstring>

#include "store/etcd/client_messages.h"
#include "store/etcd/wire.h"

namespace rs::bench {
namespace {

constexpr const char* kWatchPath = "/etcdserverpb.Watch/Watch";
constexpr int64_t kCreateTimeoutNs = 120'000'000'000;

// The time in an Event's kv.value.
int64_t stamp_of(std::string_view event) {
  store::etcd::Reader reader(event);
  while (reader.next()) {
    if (reader.field() != 2) continue;
    store::etcd::Reader kv(reader.text());
    while (kv.next()) {
      if (kv.field() != 5 || kv.text().size() < sizeof(int64_t)) continue;
      int64_t ns;
      std::memcpy(&ns, kv.text().data(), sizeof ns);
      return ns;
    }
  }
  throw BenchError("an event has no value");
}

}  // namespace

std::string stamped(int64_t ns, size_t bytes) {
  std::string value(std::max(bytes, sizeof ns), 'v');
  std::memcpy(value.data(), &ns, sizeof ns);
  return value;
}

Watchers::Watchers(Loop& loop, const ServerProcess& server, uint32_t connections) : loop_(loop) {
  for (uint32_t i = 0; i < connections; ++i) {
    connections_.push_back(std::make_unique<Connection>(loop, server.host(), server.port()));
    // A call on each: what a connection itself costs is there before the first watcher.
    call_once(loop, *connections_.back(), kRangePath,
              store::etcd::encode(store::RangeRequest{.key = "none"}));
  }
}

void Watchers::create(uint32_t streams, uint32_t count,
                      const std::function<std::string(uint32_t index)>& key) {
  uint64_t wanted = created_ + count;
  for (uint32_t index = 0; index < count;) {
    for (uint32_t stream = 0; stream < streams; ++stream) {
      Connection& connection = *connections_[stream % connections_.size()];
      uint32_t end = uint32_t(uint64_t(count) * (stream + 1) / streams), id = 0;
      for (; index < end; ++index) {
        std::string message =
            store::etcd::encode(store::etcd::WatchCreate{.request = {.key = key(index)}});
        if (id == 0) {
          id = connection.open(kWatchPath, message, *this);
        } else {
          connection.send(id, message);
        }
      }
      connection.flush();
    }
  }
  loop_.run_until([&] { return created_ == wanted; }, now_ns() + kCreateTimeoutNs,
                  "creating watchers");
}

Histogram Watchers::take_latency() {
  return std::exchange(latency_, Histogram());
}

void Watchers::on_message(Stream&, std::string_view message) {
  store::etcd::Reader reader(message);
  int64_t now = 0;
  while (reader.next()) {
    if (reader.field() == 3 && reader.boolean()) ++created_;
    if (reader.field() == 4 && reader.boolean()) throw BenchError("a watcher was canceled");
    if (reader.field() != 11) continue;
    if (now == 0) now = now_ns();
    latency_.record(now - stamp_of(reader.text()));
    ++told_;
  }
  if (!reader.ok()) throw BenchError("a watch answer is malformed");
  if (now != 0) last_told_ns_ = now;
}

}  // namespace rs::bench
