#include "watchers.h"

#include <algorithm>

#include <fmt/format.h>

#include "store/etcd/client_messages.h"

namespace rs::store::differential {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);
constexpr size_t kWatchersPerStream = 10;

// An answer without its events and ids.
std::string control_text(const etcd::WatchResponse& answer) {
  return fmt::format("id {} revision {}{}{} compacted {} reason {}", answer.watch_id,
                     answer.revision, answer.created ? " created" : "",
                     answer.canceled ? " canceled" : "", answer.compact_revision,
                     quote(answer.cancel_reason));
}

}  // namespace

WatchSession::WatchSession(async::Loop& loop, Session& session)
    : session_(session), changed_(loop), tasks_(loop) {}

awaitable<Result<void>> WatchSession::open() {
  auto stream = co_await session_.client().open("/etcdserverpb.Watch/Watch", {});
  if (!stream) co_return fail(stream.error());
  stream_ = std::move(*stream);
  tasks_.spawn("watch reader", read_all());
  co_await write(etcd::encode(etcd::WatchCreate{{.key = kSentinelKey}, kSentinel, false, false}));
  // Before anything is written: the sentinel must not miss its first event.
  while (!ready_ && problem.empty()) co_await changed_.wait();
  if (!problem.empty()) co_return fail(Code::kUnavailable, "{}", problem);
  co_return Result<void>{};
}

awaitable<void> WatchSession::write(std::string request) {
  auto written = co_await stream_->write(std::move(request));
  if (!written) problem = "cannot write to the stream: " + written.error().message;
}

awaitable<void> WatchSession::close() {
  co_await tasks_.stop();
  stream_.reset();
}

awaitable<void> WatchSession::read_all() {
  while (true) {
    auto message = co_await stream_->read();
    if (!message || !message->has_value()) {
      problem = "the stream ended: " +
                (message ? std::string("without an error") : message.error().message);
      break;
    }
    handle(**message);
    changed_.notify();
  }
  changed_.notify();
}

void WatchSession::handle(const std::string& message) {
  auto answer = etcd::decode_watch_response(message);
  Node root;
  if (!answer || !parse(types::watch_response, message, root)) {
    problem = "an answer that is not understood";
    return;
  }
  if (answer->watch_id == kHistorySentinel) {
    history_read |= !answer->events.empty();
    changed_.notify();
    return;
  }
  if (answer->watch_id == kSentinel) {
    ready_ = true;
    if (!answer->events.empty()) flushed = answer->events.back().kv.mod_revision;
    return;
  }
  if (answer->watch_id == -1 && !answer->created) {
    ++progress;
    return;
  }
  Told& told = watchers[answer->watch_id];
  if (answer->created || answer->canceled) {
    // Canceled because of a compaction comes in its own time, everything else in the order of
    // requests.
    if (answer->compact_revision != 0) {
      told.events.push_back(control_text(*answer));
      told.revisions.push_back(0);
    } else {
      controls.push_back(control_text(*answer));
    }
    answered += answer->compact_revision == 0;
    if (answer->created && !answer->canceled) told = {};  // an id may be used again
    if (answer->created) created_id = answer->canceled ? -1 : answer->watch_id;
    told.over |= answer->canceled;
  }
  if (!answer->events.empty() && !fragmented_ &&
      answer->events.front().kv.mod_revision <= told.last)
    problem = fmt::format("revision {} of watcher {} is told in two answers", told.last,
                          answer->watch_id);
  if (!answer->events.empty()) told.last = answer->events.back().kv.mod_revision;
  fragmented_ = answer->fragment;
  for (const Node& event : root.children) {
    if (event.field != 11) continue;
    Node shown = event;
    told.events.push_back(print(shown));
    for (const Node& kv : event.children) {
      if (kv.field == 2) told.revisions.push_back(kv.signed_of(3));
    }
  }
}

WatchPairs::WatchPairs(async::Loop& loop, Session& etcd, Session& ours, size_t streams)
    : loop_(loop), etcd_(etcd), ours_(ours), pairs_(streams) {}

awaitable<Result<void>> WatchPairs::open() {
  for (Pair& pair : pairs_) {
    pair.etcd = std::make_unique<WatchSession>(loop_, etcd_);
    pair.ours = std::make_unique<WatchSession>(loop_, ours_);
    for (WatchSession* session : {pair.etcd.get(), pair.ours.get()}) {
      if (auto opened = co_await session->open(); !opened) co_return opened;
    }
  }
  co_return Result<void>{};
}

awaitable<void> WatchPairs::close() {
  for (Pair& pair : pairs_) {
    if (pair.etcd) co_await pair.etcd->close();
    if (pair.ours) co_await pair.ours->close();
  }
}

size_t WatchPairs::live() const {
  size_t count = 0;
  for (const Pair& pair : pairs_) {
    for (const auto& [id, told] : pair.ours->watchers) count += id >= 0 && !told.over;
  }
  return count;
}

awaitable<void> WatchPairs::act(Generator& generator, bool with_history) {
  Random& random = generator.random();
  Pair& pair = pairs_[random.below(pairs_.size())];
  std::string request;
  Revision from_compaction = 0;
  size_t live = 0;
  for (const auto& [id, told] : pair.ours->watchers) live += !told.over;
  if (with_history && live >= kWatchersPerStream) co_return;
  if (live >= kWatchersPerStream || (!with_history && random.below(4) == 0)) {
    auto id = int64_t(random.below(12));
    bool progress = random.below(8) == 0;
    request = progress ? etcd::encode_watch_progress() : etcd::encode_watch_cancel(id);
    if (!progress) pair.answers += pair.open.erase(id);  // an unknown one is not answered
  } else {
    etcd::WatchCreate create;
    WatchRequest& watch = create.request;
    watch.key = generator.any_key();
    watch.range_end = generator.any_range_end(watch.key);
    watch.prev_kv = random.below(2) == 0;
    watch.no_put = random.below(8) == 0;
    watch.no_delete = random.below(8) == 0;
    create.fragment = random.below(4) == 0;
    create.progress_notify = random.below(4) == 0;
    if (random.below(5) == 0) create.watch_id = int64_t(1 + random.below(12));
    Revision current = generator.current(), compacted = generator.compacted();
    if (random.below(5) == 0) {
      watch.start_revision = current + 1 + Revision(random.below(30));
      pair.future = std::max(pair.future, watch.start_revision);
    }
    if (with_history) {
      Revision oldest = random.below(6) == 0 ? 1 : std::max<Revision>(1, compacted);
      watch.start_revision = random.between(oldest, current);
      if (random.below(8) == 0) watch.start_revision = compacted;
    }
    request = etcd::encode(create);
    ++pair.answers;
    pair.ours->created_id = -1;
    if (watch.start_revision > 0 && watch.start_revision == compacted) from_compaction = compacted;
  }
  pair.requests.push_back(print(types::watch_request, request));
  co_await pair.etcd->write(request);
  co_await pair.ours->write(request);
  // Answered before anything else is asked: the revision in the answer is then the same.
  MonoTime end = loop_.now() + kPatience;
  while ((pair.etcd->answered < pair.answers || pair.ours->answered < pair.answers) &&
         loop_.now() < end)
    co_await async::sleep_or_event(
        loop_, std::chrono::milliseconds(20),
        pair.etcd->answered < pair.answers ? pair.etcd->changed() : pair.ours->changed());
  const int64_t created = std::exchange(pair.ours->created_id, -1);
  if (created < 0) co_return;
  pair.open.insert(created);
  if (from_compaction != 0) pair.from_compaction[created] = from_compaction;
}

// etcd reads the history of new watchers ten times a second, all of them at a time; until then a compaction takes away what
// a watcher without matching events has not looked at. One that has something to tell shows that it has done so.
awaitable<void> WatchPairs::history_is_read() {
  for (Pair& pair : pairs_) {
    pair.etcd->history_read = false;
    const WatchRequest watch{.key = kSentinelKey, .start_revision = pair.etcd->flushed};
    co_await pair.etcd->write(etcd::encode(etcd::WatchCreate{watch, WatchSession::kHistorySentinel, false, false}));
    MonoTime end = loop_.now() + kPatience;
    while (!pair.etcd->history_read && loop_.now() < end)
      co_await async::sleep_or_event(loop_, std::chrono::milliseconds(50), pair.etcd->changed());
    co_await pair.etcd->write(etcd::encode_watch_cancel(WatchSession::kHistorySentinel));
  }
}

awaitable<bool> WatchPairs::ours_told_all(Pair& pair, Revision revision) {
  MonoTime end = loop_.now() + kPatience;
  while (pair.ours->flushed < revision && loop_.now() < end && pair.ours->problem.empty())
    co_await async::sleep_or_event(loop_, std::chrono::milliseconds(100), pair.ours->changed());
  // A progress mark says that no watcher has history left to read. None is given before the first
  // revision that a watcher asked for.
  if (pair.future > revision) co_return pair.ours->problem.empty();
  const size_t before = pair.ours->progress;
  while (pair.ours->progress == before && loop_.now() < end && pair.ours->problem.empty()) {
    co_await pair.ours->write(etcd::encode_watch_progress());
    co_await async::sleep_or_event(loop_, std::chrono::milliseconds(10), pair.ours->changed());
  }
  co_return pair.ours->progress > before;
}

awaitable<bool> WatchPairs::etcd_told_all(Pair& pair, Revision revision, Allowed& allowed) {
  MonoTime end = loop_.now() + kPatience;
  while (loop_.now() < end && pair.etcd->problem.empty()) {
    if (pair.etcd->flushed >= revision && alike(pair, allowed)) co_return true;
    co_await async::sleep_or_event(loop_, std::chrono::milliseconds(50), pair.etcd->changed());
  }
  co_return false;
}

bool WatchPairs::alike(Pair& pair, Allowed& allowed) {
  if (pair.etcd->controls != pair.ours->controls) return false;
  size_t events = 0;
  int kept = 0;
  for (auto& [id, ours] : pair.ours->watchers) {
    auto it = pair.etcd->watchers.find(id);
    if (it == pair.etcd->watchers.end()) {
      if (ours.events.empty()) continue;
      return false;
    }
    WatchSession::Told& etcd = it->second;
    events += ours.events.size();
    if (etcd.events == ours.events) continue;
    // A.12: etcd 3.4 does not keep a delete at the compacted revision, which a watcher from there
    // should hear of.
    auto from = pair.from_compaction.find(id);
    if (from == pair.from_compaction.end()) return false;
    size_t skip = 0;
    while (skip < ours.events.size() && ours.revisions[skip] == from->second &&
           ours.events[skip].starts_with("Event{type:1"))
      ++skip;
    std::vector<std::string> rest(ours.events.begin() + ptrdiff_t(skip), ours.events.end());
    if (skip == 0 || rest != etcd.events) return false;
    ++kept;
  }
  for (auto& [id, etcd] : pair.etcd->watchers) {
    if (!etcd.events.empty() && !pair.ours->watchers.contains(id)) return false;
  }
  if (kept > 0) allowed["A.12: 3.4 does not tell of a delete at the compacted revision"] += kept;
  events_ += events;
  pair.requests.clear();
  pair.from_compaction.clear();
  for (WatchSession* session : {pair.etcd.get(), pair.ours.get()}) {
    session->controls.clear();
    for (auto& [id, told] : session->watchers) {
      told.events.clear();
      told.revisions.clear();
    }
  }
  return true;
}

std::string WatchPairs::difference(const Pair& pair) {
  std::string out = "watchers are told different things";
  for (const std::string& request : pair.requests) out += "\n  asked: " + request;
  for (const WatchSession* session : {pair.etcd.get(), pair.ours.get()}) {
    out += session == pair.etcd.get() ? "\n  etcd: " : "\n  ours: ";
    out += session->problem;
    for (const std::string& control : session->controls) out += "\n    " + control;
    const WatchSession* other = session == pair.etcd.get() ? pair.ours.get() : pair.etcd.get();
    for (const auto& [id, told] : session->watchers) {
      auto it = other->watchers.find(id);
      static const std::vector<std::string> kNothing;
      const auto& others = it == other->watchers.end() ? kNothing : it->second.events;
      if (others == told.events) continue;
      // From the last event that is the same.
      size_t same = 0;
      while (same < others.size() && same < told.events.size() && others[same] == told.events[same])
        ++same;
      out += fmt::format("\n    watcher {}: {} events", id, told.events.size());
      for (size_t i = same > 0 ? same - 1 : 0; i < std::min(same + 4, told.events.size()); ++i)
        out += fmt::format("\n      [{}] {}", i, told.events[i]);
    }
  }
  return out;
}

awaitable<std::optional<std::string>> WatchPairs::settle(Generator& generator, Allowed& allowed) {
  Operation sentinel = make_put({.key = kSentinelKey});
  Answers answers = co_await run_both(loop_, etcd_, ours_, {&sentinel, 1});
  if (auto text =
          rs::store::differential::difference(sentinel, answers.etcd[0], answers.ours[0], allowed))
    co_return text;
  auto revision = etcd::decode_header_revision(answers.ours[0].body);
  if (!revision) co_return "the sentinel cannot be written: " + to_text(sentinel, answers.ours[0]);
  generator.learn(*revision, 0);
  for (Pair& pair : pairs_) {
    if (!co_await ours_told_all(pair, *revision))
      co_return fmt::format("our watchers do not come to rest: {}", pair.ours->problem);
    if (!pair.ours->problem.empty()) co_return "ours: " + pair.ours->problem;
    if (!co_await etcd_told_all(pair, *revision, allowed)) co_return difference(pair);
  }
  co_return std::nullopt;
}

}  // namespace rs::store::differential
