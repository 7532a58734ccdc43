#include "watch_check.h"

#include <algorithm>

#include <fmt/format.h>

namespace rs::store::crash {
namespace {

bool within(std::string_view key, const WatchRequest& request) {
  if (request.range_end.empty()) return key == request.key;
  return key >= request.key &&
         (request.range_end == std::string_view("\0", 1) || key < request.range_end);
}

bool wanted(const Event& event, const WatchRequest& request) {
  if (event.type == Event::Type::kPut ? request.no_put : request.no_delete) return false;
  return within(event.kv.key, request);
}

// The highest revision that any compaction asked for before the moment may have compacted to.
Revision maybe_compacted(std::span<const Call> calls, Moment moment) {
  Revision out = 0;
  for (const Call& call : calls) {
    auto* compact = std::get_if<CompactRequest>(&call.request);
    if (compact != nullptr && call.called < moment && call.outcome != Call::Outcome::kRefused)
      out = std::max(out, compact->revision);
  }
  return out;
}

class Check {
 public:
  Check(const WatcherRecord& watcher, const State& state, std::span<const Call> calls)
      : watcher_(watcher), request_(watcher.create.request), calls_(calls) {
    for (const Past* past = state.now.get(); past != nullptr; past = past->before.get())
      pasts_.push_back(past);
    std::ranges::reverse(pasts_);  // pasts_[i] is revision i + 1
    revision_ = request_.start_revision;
  }

  std::optional<std::string> run() {
    for (const Told& told : watcher_.told) {
      auto wrong = one(told);
      if (!wrong) continue;
      return fmt::format("{}\n  watcher of [{}, {}) from {}: {}", *wrong, request_.key,
                         request_.range_end, request_.start_revision, text(told));
    }
    if (const Revision settled = watcher_.settled; settled > 0) {
      if (!created_) return std::string("Reliable: a watcher was never created");
      skip_unwanted();
      if (revision_ <= settled)
        return fmt::format(
            "Reliable: a watcher of [{}, {}) from {} was not told of revision {}, though it was of "
            "all up to {}",
            request_.key, request_.range_end, request_.start_revision, revision_, settled);
    }
    return std::nullopt;
  }

 private:
  static std::string text(const Told& told) {
    std::string out =
        fmt::format("answer of revision {}{}{}", told.response.revision,
                    told.progress ? ", progress" : "", told.response.fragment ? ", fragment" : "");
    for (const Event& event : told.response.events) out += "\n    " + to_string(event);
    return out;
  }

  std::optional<std::string> one(const Told& told) {
    const etcd::WatchResponse& response = told.response;
    if (!created_) {
      if (!response.created) return std::string("Ordered: told before it was created");
      created_ = true;
      if (response.revision < watcher_.known)
        return fmt::format("created at a revision older than {}", watcher_.known);
      if (revision_ == 0) revision_ = response.revision + 1;
      got_to_ = revision_;
      return std::nullopt;
    }
    if (response.canceled) return canceled(told);
    if (told.progress) return progress(response.revision);
    if (response.events.empty()) return std::string("an answer without events");
    for (const Event& event : response.events) {
      if (auto wrong = event_told(event, told.moment)) return wrong;
    }
    if (response.events.back().kv.mod_revision > response.revision)
      return std::string("Ordered: events newer than the answer's revision");
    if (!response.fragment && in_revision_ && next_wanted_in_revision() != nullptr)
      return fmt::format("Atomic: revision {} is not told as a whole", revision_);
    return std::nullopt;
  }

  std::optional<std::string> canceled(const Told& told) {
    if (told.response.compact_revision == 0) return "canceled: " + told.response.cancel_reason;
    if (told.response.compact_revision <= got_to_)
      return fmt::format("canceled for compaction to {}, but it had got to {}",
                         told.response.compact_revision, got_to_);
    if (told.response.compact_revision > maybe_compacted(calls_, told.moment))
      return fmt::format("canceled for a compaction to {} that nobody asked for",
                         told.response.compact_revision);
    return std::nullopt;
  }

  std::optional<std::string> progress(Revision mark) {
    if (mark < request_.start_revision)
      return fmt::format("Bookmarkable: progress {} before its start", mark);
    if (mark > Revision(pasts_.size()))
      return fmt::format("Bookmarkable: progress {} is in the future", mark);
    skip_unwanted();
    if (revision_ <= mark)
      return fmt::format("Bookmarkable: progress {}, but revision {} was not told", mark,
                         revision_);
    mark_ = std::max(mark_, mark);
    got_to_ = std::max(got_to_, mark + 1);
    return std::nullopt;
  }

  std::optional<std::string> event_told(const Event& event, Moment moment) {
    const Revision at = event.kv.mod_revision;
    if (at <= mark_)
      return fmt::format("Bookmarkable: an event of revision {} after progress {}", at, mark_);
    if (at < got_to_)
      return fmt::format("Ordered, Unique: an event of revision {}, but it had got to {}", at,
                         got_to_);
    skip_unwanted();
    if (revision_ > Revision(pasts_.size()))
      return fmt::format("Reliable: an event that never was: {}", to_string(event));
    const Event* expected = next_wanted_in_revision();
    if (expected == nullptr || at != revision_)
      return fmt::format("Reliable: revision {} was to be told next, not {}", revision_,
                         to_string(event));
    if (event.type != expected->type || !same(event.kv, expected->kv))
      return fmt::format("told {}, but it was {}", to_string(event), to_string(*expected));
    if (auto wrong = previous(event, *expected, moment)) return wrong;
    in_revision_ = true;
    ++index_;
    got_to_ = std::max(got_to_, next_wanted_in_revision() != nullptr ? at : at + 1);
    return std::nullopt;
  }

  std::optional<std::string> previous(const Event& event, const Event& expected,
                                      Moment moment) const {
    if (!request_.prev_kv) {
      if (event.prev_kv) return std::string("prev_kv that was not asked for");
      return std::nullopt;
    }
    if (!event.prev_kv) {
      if (!expected.prev_kv || event.kv.mod_revision <= maybe_compacted(calls_, moment))
        return std::nullopt;
      return "no prev_kv: " + to_string(expected);
    }
    if (!expected.prev_kv || !same(*event.prev_kv, *expected.prev_kv))
      return fmt::format("wrong prev_kv: {} instead of {}", to_string(event), to_string(expected));
    return std::nullopt;
  }

  const Event* next_wanted_in_revision() {
    const auto& events = pasts_[size_t(revision_ - 1)]->events;
    while (index_ < events.size() && !wanted(events[index_], request_)) ++index_;
    return index_ < events.size() ? &events[index_] : nullptr;
  }

  // To the next revision that has something for this watcher.
  void skip_unwanted() {
    if (revision_ < 1) revision_ = 1;
    while (revision_ <= Revision(pasts_.size()) && next_wanted_in_revision() == nullptr) {
      ++revision_;
      index_ = 0;
      in_revision_ = false;
    }
  }

  const WatcherRecord& watcher_;
  const WatchRequest& request_;
  const std::span<const Call> calls_;
  std::vector<const Past*> pasts_;
  bool created_ = false;
  Revision revision_ = 0;           // being told, or to be told next
  Revision got_to_ = 0, mark_ = 0;  // everything before it was told; the last progress mark
  size_t index_ = 0;                // in its events
  bool in_revision_ = false;        // something of it was told
};

}  // namespace

std::optional<std::string> check_watcher(const WatcherRecord& watcher, const State& state,
                                         std::span<const Call> calls) {
  return Check(watcher, state, calls).run();
}

Result<Log> make_log(std::span<const WatcherRecord* const> watchers) {
  Log log;
  for (const WatcherRecord* watcher : watchers) {
    for (const Told& told : watcher->told) {
      std::map<Revision, std::vector<Event>> revisions;
      for (Event event : told.response.events) {
        event.prev_kv.reset();
        revisions[event.kv.mod_revision].push_back(std::move(event));
      }
      for (auto& [revision, events] : revisions) {
        const auto i = size_t(revision - 2);
        if (revision < 2 || i > log.size())
          return fail(Code::kDataLoss,
                      "Reliable: a watcher of all keys was told of revision {} after {}", revision,
                      log.size() + 1);
        if (i == log.size()) {
          log.push_back(std::move(events));
          continue;
        }
        const bool alike = std::ranges::equal(log[i], events, [](const Event& a, const Event& b) {
          return a.type == b.type && same(a.kv, b.kv);
        });
        if (!alike)
          return fail(Code::kDataLoss, "Unique: revision {} was told twice, and differently",
                      revision);
      }
    }
  }
  return log;
}

}  // namespace rs::store::crash
