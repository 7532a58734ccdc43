// Is there an order of the calls, each at one moment between its call and its return, in which the
// model answers as the store did? (Herlihy, Wing 1990; searched as Wing and Gong 1993, with the
// memory of Lowe 2017.) Because answers carry revisions, there is rarely more than one candidate,
// and the search is short. Pure.
#pragma once

#include <optional>
#include <span>

#include "model.h"

namespace rs::store::crash {

// Element i: the events of revision i + 2, without prev_kv. What watchers were told of all keys.
using Log = std::vector<std::vector<Event>>;

struct Verdict {
  enum class Kind {
    kLinearizable,
    kViolation,
    kGaveUp,  // neither found nor excluded within kStepsMax
  } kind = Kind::kLinearizable;
  std::string why;
  State state;  // the last one of the order found
};

constexpr size_t kStepsMax = 5'000'000;

// With a log, the order has to write what the log says, revision by revision, and all of it.
Verdict check_linearizable(std::span<const Call> calls, const Log* log = nullptr);

// No answer has a lower revision than one that had been given before its call. What is wrong, or
// nothing.
std::optional<std::string> check_headers(std::span<const Call> calls);

}  // namespace rs::store::crash
