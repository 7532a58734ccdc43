#include "watch_streams.h"

namespace rs::store::crash {
namespace {
constexpr size_t kStreams = 3, kWatchersMax = 16;
constexpr auto kPatience = std::chrono::seconds(60);
const std::string kEverything(1, '\0');
}  // namespace

struct WatchStreams::Stream {
  std::unique_ptr<net::grpc::ClientStream> calls;
  std::map<int64_t, Entry*> by_id;
  std::deque<Entry*> asked;  // in the order in which they are to be created
};

WatchStreams::WatchStreams(async::Loop& loop, Recorder& recorder, uint64_t seed)
    : loop_(loop),
      recorder_(recorder),
      random_(seed),
      network_(loop),
      changed_(loop),
      tasks_(loop) {}

WatchStreams::~WatchStreams() = default;

awaitable<void> WatchStreams::open(const net::Address& address) {
  client_ =
      std::make_unique<net::grpc::Client>(loop_, network_, address, net::grpc::ClientOptions{});
  for (size_t i = 0; i < kStreams; ++i) {
    auto stream = std::make_unique<Stream>();
    auto calls = co_await client_->open("/etcdserverpb.Watch/Watch", {});
    if (!calls) co_return;  // gone again already
    stream->calls = std::move(*calls);
    tasks_.spawn("watch stream", read_all(*stream));
    streams_.push_back(std::move(stream));
  }
  std::vector<Entry*> resumed;
  bool watches_all = false;
  for (Entry& entry : entries_) {
    if (!std::exchange(entry.resumes, false)) continue;
    watches_all |= entry.all_keys;
    resumed.push_back(&entry);
  }
  if (!watches_all) {
    etcd::WatchCreate create{
        .request = {
            .key = kEverything, .range_end = kEverything, .start_revision = 2, .prev_kv = true}};
    create.progress_notify = true;
    co_await this->create(*streams_[0], create, true);
  }
  for (Entry* entry : resumed) {
    etcd::WatchCreate create = entry->record.create;
    create.request.start_revision = entry->record.next;
    co_await this->create(*streams_[entry->all_keys ? 0 : 1 + random_.below(kStreams - 1)], create,
                          entry->all_keys);
  }
  for (size_t i = 0; i < 4 && live() < kWatchersMax; ++i)
    co_await this->create(*streams_[1 + random_.below(kStreams - 1)], any_create(), false);
}

size_t WatchStreams::live() const {
  size_t out = 0;
  for (const auto& stream : streams_) out += stream->by_id.size() + stream->asked.size();
  return out;
}

etcd::WatchCreate WatchStreams::any_create() {
  etcd::WatchCreate create;
  WatchRequest& request = create.request;
  const uint64_t keys = random_.below(3);
  request.key = keys == 0 ? kEverything : random_.chance(0.5) ? "a/" : "b/";
  if (keys == 0) request.range_end = kEverything;
  if (keys == 1) request.range_end = prefix_end(request.key);
  if (keys == 2) request.key += std::to_string(random_.below(4));
  const uint64_t start = random_.below(4);
  if (start == 1) request.start_revision = random_.between(1, recorder_.known());
  if (start == 2)
    request.start_revision = std::max<Revision>(1, recorder_.known() - int64_t(random_.below(20)));
  if (start == 3) request.start_revision = recorder_.known() + random_.between(1, 5);
  request.prev_kv = random_.chance(0.5);
  request.no_put = random_.chance(0.15);
  request.no_delete = random_.chance(0.15);
  create.progress_notify = random_.chance(0.5);
  create.fragment = random_.chance(0.3);
  return create;
}

awaitable<void> WatchStreams::create(Stream& stream, etcd::WatchCreate create, bool all_keys) {
  latest_start_ = std::max(latest_start_, create.request.start_revision);
  Entry& entry = entries_.emplace_back();
  entry.all_keys = all_keys;
  entry.record = {.create = create,
                  .asked = recorder_.tick(),
                  .known = recorder_.known(),
                  .next = create.request.start_revision};
  stream.asked.push_back(&entry);
  (void)co_await stream.calls->write(etcd::encode(create));
}

awaitable<void> WatchStreams::act() {
  if (streams_.size() < kStreams) co_return;
  Stream& stream = *streams_[random_.below(kStreams)];
  if (&stream != streams_[0].get() && live() < kWatchersMax && random_.chance(0.3))
    co_return co_await create(stream, any_create(), false);
  (void)co_await stream.calls->write(etcd::encode_watch_progress());
}

awaitable<void> WatchStreams::read_all(Stream& stream) {
  while (true) {
    auto message = co_await stream.calls->read();
    if (!message || !message->has_value()) break;
    auto response = etcd::decode_watch_response(**message);
    if (!response) break;
    handle(stream, *response);
    ++answers_;
    changed_.notify();
  }
}

void WatchStreams::handle(Stream& stream, const etcd::WatchResponse& response) {
  const bool empty = response.events.empty() && !response.created && !response.canceled;
  if (response.watch_id == -1 && empty) {
    for (auto& [id, entry] : stream.by_id) tell(*entry, response, true);
    return;
  }
  if (response.created && !stream.asked.empty()) {
    stream.by_id[response.watch_id] = stream.asked.front();
    stream.asked.pop_front();
  }
  auto it = stream.by_id.find(response.watch_id);
  if (it == stream.by_id.end()) return;
  tell(*it->second, response, empty);
  if (response.canceled) stream.by_id.erase(it);
}

void WatchStreams::tell(Entry& entry, const etcd::WatchResponse& response, bool progress) {
  WatcherRecord& record = entry.record;
  record.told.push_back({recorder_.tick(), response, progress});
  recorder_.see(response.revision);
  if (response.created && record.next == 0) record.next = response.revision + 1;
  if (progress) record.next = std::max(record.next, response.revision + 1);
  // What comes in fragments is not whole before the last one.
  if (!response.events.empty() && !response.fragment)
    record.next = response.events.back().kv.mod_revision + 1;
  if (entry.all_keys)
    recorder_.told_everybody = std::max(recorder_.told_everybody, record.next - 1);
}

awaitable<bool> WatchStreams::settle(Revision revision) {
  const MonoTime end = loop_.now() + kPatience;
  auto behind = [&](const std::unique_ptr<Stream>& stream) {
    return !stream->asked.empty() || std::ranges::any_of(stream->by_id, [&](const auto& e) {
      return e.second->record.next <= revision;
    });
  };
  while (std::ranges::any_of(streams_, behind)) {
    if (loop_.now() > end) co_return false;
    for (auto& stream : streams_) {
      if (behind(stream)) (void)co_await stream->calls->write(etcd::encode_watch_progress());
    }
    co_await async::sleep_or_event(loop_, std::chrono::milliseconds(2), changed_);
  }
  for (auto& stream : streams_) {
    for (auto& [id, entry] : stream->by_id) entry->record.settled = revision;
  }
  co_return true;
}

awaitable<void> WatchStreams::close(Rest rest) {
  if (rest == Rest::kRead) co_await tasks_.join();
  if (rest == Rest::kDrop) co_await tasks_.stop();
  for (auto& stream : streams_) {
    for (auto& [id, entry] : stream->by_id) entry->resumes = true;
    for (Entry* entry : stream->asked) entry->resumes = entry->record.next > 0;  // never created
  }
  streams_.clear();
  client_.reset();
}

std::vector<const WatcherRecord*> WatchStreams::all() const {
  std::vector<const WatcherRecord*> out;
  for (const Entry& entry : entries_) out.push_back(&entry.record);
  return out;
}

std::vector<const WatcherRecord*> WatchStreams::of_all_keys() const {
  std::vector<const WatcherRecord*> out;
  for (const Entry& entry : entries_) {
    if (entry.all_keys) out.push_back(&entry.record);
  }
  return out;
}

}  // namespace rs::store::crash
