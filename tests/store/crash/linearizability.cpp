#include "linearizability.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "base/random.h"

namespace rs::store::crash {
namespace {

bool same_event(const Event& a, const Event& b) {
  return a.type == b.type && same(a.kv, b.kv);
}

class Search {
 public:
  Search(std::span<const Call> calls, const Log* log) : calls_(calls), log_(log) {
    for (size_t i = 0; i < calls.size(); ++i) {
      moments_.push_back({calls[i].called, i, true});
      if (calls[i].outcome != Call::Outcome::kUnknown)
        moments_.push_back({calls[i].returned, i, false});
      to_place_ += calls[i].outcome != Call::Outcome::kUnknown;
    }
    std::ranges::sort(moments_, {}, &Point::moment);
    const size_t n = moments_.size();
    next_.resize(n + 1);
    before_.resize(n + 1);
    place_of_.resize(calls.size(), {n, n});
    for (size_t i = 0; i <= n; ++i) {  // n is the head of the ring
      next_[i] = i == n ? 0 : i + 1;
      before_[i] = i == 0 ? n : i - 1;
      if (i == n) continue;
      auto& [called, returned] = place_of_[moments_[i].call];
      (moments_[i].is_call ? called : returned) = i;
    }
  }

  Verdict run() {
    const size_t head = moments_.size();
    size_t at = next_[head];
    for (size_t steps = 0;; ++steps) {
      if (done()) return {Verdict::Kind::kLinearizable, {}, state_};
      if (steps == kStepsMax) return {Verdict::Kind::kGaveUp, "the search is too long", {}};
      if (at != head && moments_[at].is_call) {
        at = try_place(moments_[at].call) ? next_[head] : next_[at];
        continue;
      }
      // A call that has returned is not yet in the order, or all that is left are unknown and fit
      // nowhere.
      if (stack_.size() >= deepest_.size())
        note_deepest(at == head ? std::nullopt : std::optional(moments_[at].call));
      if (stack_.empty()) return violation();
      auto [call, state] = std::move(stack_.back());
      stack_.pop_back();
      put_back(call);
      state_ = std::move(state);
      at = next_[place_of_[call].first];
    }
  }

 private:
  struct Point {
    Moment moment;
    size_t call;
    bool is_call;
  };

  bool done() const {
    return left() == 0 && (log_ == nullptr || state_.revision() == Revision(log_->size()) + 1);
  }
  size_t left() const { return to_place_ - placed_known_; }

  bool fits_log(const State& after) const {
    if (log_ == nullptr || after.revision() == state_.revision()) return true;
    const auto i = size_t(after.revision() - 2);
    return i < log_->size() && std::ranges::equal((*log_)[i], after.now->events, same_event);
  }

  bool try_place(size_t call) {
    auto after = step(state_, calls_[call]);
    if (!after || !fits_log(*after)) return false;
    // One that may not have been done and changes nothing may as well be left out.
    if (calls_[call].outcome == Call::Outcome::kUnknown &&
        after->fingerprint() == state_.fingerprint())
      return false;
    const uint64_t mark = placed_mark_ ^ mark_of(call);
    if (!seen_.insert(mark ^ after->fingerprint() * 0x9e3779b97f4a7c15ull).second) return false;
    placed_mark_ = mark;
    stack_.emplace_back(call, std::move(state_));
    state_ = std::move(*after);
    lift(call);
    return true;
  }

  static uint64_t mark_of(size_t call) { return Random(call + 1).next(); }
  void unlink(size_t i) {
    next_[before_[i]] = next_[i];
    before_[next_[i]] = before_[i];
  }
  void relink(size_t i) { next_[before_[i]] = before_[next_[i]] = i; }
  void lift(size_t call) {
    auto [called, returned] = place_of_[call];
    unlink(called);
    if (returned != moments_.size()) {
      unlink(returned);
      ++placed_known_;
    }
  }
  void put_back(size_t call) {
    auto [called, returned] = place_of_[call];
    if (returned != moments_.size()) {
      relink(returned);
      --placed_known_;
    }
    relink(called);
    placed_mark_ ^= mark_of(call);
  }

  void note_deepest(std::optional<size_t> stuck) {
    deepest_.clear();
    for (const auto& [call, state] : stack_) deepest_.push_back(call);
    deepest_state_ = state_;
    stuck_ = stuck;
  }

  Verdict violation() const {
    std::string why = fmt::format(
        "no order of the calls explains the answers. The longest that does ends at revision {}:",
        deepest_state_.revision());
    constexpr size_t kShown = 8;
    for (size_t i = deepest_.size() > kShown ? deepest_.size() - kShown : 0; i < deepest_.size();
         ++i)
      why += "\n  " + to_string(calls_[deepest_[i]]);
    if (stuck_) {
      why += "\nand then this must come before it is answered, and does not fit:\n  " +
             to_string(calls_[*stuck_]);
      Applied applied = apply(deepest_state_, calls_[*stuck_].request);
      why += "\nthe model says " +
             (applied.error.empty() ? to_string(applied.response) : "refused: " + applied.error);
    }
    const auto next = size_t(deepest_state_.revision() - 1);
    if (log_ != nullptr && next < log_->size()) {
      why += fmt::format("\nwatchers were told of revision {}:", next + 2);
      for (const Event& event : (*log_)[next]) why += "\n  " + to_string(event);
    } else if (log_ != nullptr) {
      why += "\nwatchers were told of no later revision";
    }
    return {Verdict::Kind::kViolation, std::move(why), {}};
  }

  const std::span<const Call> calls_;
  const Log* const log_;
  std::vector<Point> moments_;
  std::vector<size_t> next_, before_;                // a ring of what is not in the order yet
  std::vector<std::pair<size_t, size_t>> place_of_;  // of a call and its return
  uint64_t placed_mark_ = 0;
  size_t to_place_ = 0, placed_known_ = 0;
  State state_;
  std::vector<std::pair<size_t, State>> stack_;  // the order so far, and the state before each
  std::unordered_set<uint64_t> seen_;
  std::vector<size_t> deepest_;
  State deepest_state_;
  std::optional<size_t> stuck_;
};

}  // namespace

Verdict check_linearizable(std::span<const Call> calls, const Log* log) {
  return Search(calls, log).run();
}

std::optional<std::string> check_headers(std::span<const Call> calls) {
  std::vector<const Call*> by_return, by_call;
  for (const Call& call : calls) {
    if (call.outcome != Call::Outcome::kDone) continue;
    by_return.push_back(&call);
    by_call.push_back(&call);
  }
  std::ranges::sort(by_return, {}, &Call::returned);
  std::ranges::sort(by_call, {}, &Call::called);
  size_t returned = 0;
  const Call* highest = nullptr;
  for (const Call* call : by_call) {
    for (; returned < by_return.size() && by_return[returned]->returned < call->called;
         ++returned) {
      const Call* done = by_return[returned];
      if (highest == nullptr ||
          header_revision(done->response) > header_revision(highest->response))
        highest = done;
    }
    if (highest != nullptr && header_revision(call->response) < header_revision(highest->response))
      return fmt::format("the revision went back from\n  {}\nto\n  {}", to_string(*highest),
                         to_string(*call));
  }
  return std::nullopt;
}

}  // namespace rs::store::crash
