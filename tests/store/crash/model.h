// Model: what etcd's API says a store is, revisions included (reference etcd-api.md A.4, A.5, A.7),
// as values that a search may keep many of. Written apart from the store's own state machine, and
// much slower.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "history.h"

namespace rs::store::crash {

using Keys = std::map<std::string, std::shared_ptr<const KeyValue>, std::less<>>;

// One revision, and through before all earlier ones.
struct Past {
  Revision revision = 1;
  Keys keys;
  std::vector<Event> events;  // with prev_kv, in their order
  std::shared_ptr<const Past> before;
  uint64_t fingerprint = 0;  // of this and all before
};

struct State {
  std::shared_ptr<const Past> now = std::make_shared<const Past>();
  Revision compacted = 0;
  std::map<LeaseId, int64_t> ttl_by_lease;

  Revision revision() const { return now->revision; }
  const Past* at(Revision revision) const;  // null: later than now
  uint64_t fingerprint() const;
};

// What a store in this state answers, and the state after it.
struct Applied {
  State state;
  Response response;
  std::string error;  // refused: state is as before
};
Applied apply(const State& state, const Request& request);

// Could a store in this state have answered so? Then the state after it.
std::optional<State> step(const State& state, const Call& call);

// Refusals that say nothing of the state: a full or broken disk, too many requests.
bool always_allowed(std::string_view error);

}  // namespace rs::store::crash
