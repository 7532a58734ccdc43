// Recorder: the history of a run while it is made, over all lives of the server. One loop.
#pragma once

#include <algorithm>
#include <deque>
#include <set>

#include "history.h"

namespace rs::store::crash {

class Recorder {
 public:
  Moment tick() { return ++moment_; }
  // The call that an answer belongs to is told by its number.
  size_t begin(int client, Request request) {
    calls_.push_back({.client = client, .called = tick(), .request = std::move(request)});
    return calls_.size() - 1;
  }
  void done(size_t number, Response response) {
    Call& call = calls_[number];
    call.returned = tick();
    call.outcome = Call::Outcome::kDone;
    see(header_revision(response));
    call.response = std::move(response);
  }
  void refused(size_t number, std::string error) {
    Call& call = calls_[number];
    call.returned = tick();
    call.outcome = Call::Outcome::kRefused;
    call.error = std::move(error);
  }
  void see(Revision revision) { known_ = std::max(known_, revision); }

  const std::vector<Call>& calls() const { return calls_; }
  // The highest revision in any answer.
  Revision known() const { return known_; }
  std::vector<LeaseId> leases;  // that were asked for
  Revision compacted = 0;       // the highest revision that a compaction was asked for
  Revision told_everybody = 1;  // the watchers of all keys have been told it: may be compacted

 private:
  std::vector<Call> calls_;
  Moment moment_ = 0;
  Revision known_ = 1;
};

}  // namespace rs::store::crash
