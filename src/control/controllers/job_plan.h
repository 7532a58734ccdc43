// What a Job needs next (k8s pkg/controller/job; KEP-2307 tracking with finalizers, KEP-2214 indexed jobs, KEP-2232
// suspend, KEP-3939 replacement policy). Pure.
//
// Every pod carries a finalizer until it is counted, in this order: its uid enters status.uncountedTerminatedPods, the
// finalizer goes, the uid leaves the list and the count grows. So a crash between any two steps counts no pod twice and
// none never.
#pragma once

#include <optional>
#include <set>

#include "control/controllers/pods.h"

namespace rs::control {

constexpr std::string_view kJobFinalizer = "batch.kubernetes.io/job-tracking";
constexpr std::string_view kJobIndex = "batch.kubernetes.io/job-completion-index";
constexpr int64_t kJobBurst = 500;   // pods created or deleted in one step

// Failures in a row since the last success, kept by the shell from step to step.
struct JobFailures {
  int64_t in_a_row = 0;
  std::optional<WallTime> last;
};

struct JobEvent {
  std::string type, reason, message;
};

struct JobPlan {
  Json job;                            // with the status it should have
  bool status_changed = false;
  std::vector<ObjectPtr> release;      // pods to take the finalizer off, after the status is written
  std::vector<ObjectPtr> remove;       // active pods that are too many
  bool forget_removed = false;         // they are no failures: their finalizer goes first
  std::vector<Json> create;            // pods to create
  std::vector<JobEvent> events;        // after the status is written
  JobFailures failures;
  bool remove_job = false;             // its time to live has passed
  std::optional<Duration> again_after;
};

// pods: all it owns. may_scale: the view shows everything that was asked for earlier (Expectations).
JobPlan plan_job(const Json& job, const std::vector<ObjectPtr>& pods, bool may_scale, JobFailures failures, WallTime now);

bool is_job_finished(const Json& job);   // condition Complete or Failed

// "0-2,5" <-> {0, 1, 2, 5}; numbers from limit on are left out, malformed parts too.
std::set<int64_t> parse_indexes(std::string_view text, int64_t limit);
std::string format_indexes(const std::set<int64_t>& indexes);

}  // namespace rs::control
