#include "control/controllers/job_plan.h"

#include <algorithm>
#include <charconv>

namespace rs::control {
namespace {

bool has_finalizer(const Json& pod) {
  return std::ranges::any_of(array(pod, "metadata", "finalizers"), [](const Json& f) { return str(f) == kJobFinalizer; });
}

std::optional<int64_t> index_of(const Json& pod) {
  std::string_view text = api::annotation(pod, kJobIndex);
  int64_t index = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || index < 0) return std::nullopt;
  return index;
}

class JobStep {
 public:
  JobStep(const Json& job, const std::vector<ObjectPtr>& pods, JobFailures failures, WallTime now)
      : before_(job), pods_(pods), now_(now) {
    plan_.job = job;
    plan_.failures = failures;
    indexed_ = str(job, "spec", "completionMode") == "Indexed";
    only_replace_failed_ = str(job, "spec", "podReplacementPolicy") == "Failed";
    completions_ = find(job, "spec", "completions") == nullptr ? -1 : integer(job, "spec", "completions");
    parallelism_ = integer_or(job, 1, "spec", "parallelism");
  }

  JobPlan run(bool may_scale) {
    if (is_job_finished(before_) || api::is_deleting(before_)) return leave();
    count_pods();
    judge();
    bool suspended = boolean(before_, "spec", "suspend") && !is_ending();
    note_suspension(suspended);
    if (may_scale) {
      plan_.forget_removed = !is_ending();
      if (is_ending() || suspended) remove_all_active();
      else scale();
    }
    conclude();
    return finish();
  }

 private:
  // Pods the Job is done with: their finalizers go, whatever they were. Its own time runs out.
  JobPlan leave() {
    for (const ObjectPtr& pod : pods_) {
      if (has_finalizer(*pod)) plan_.release.push_back(pod);
      if (is_active(*pod) && is_job_finished(before_)) plan_.remove.push_back(pod);
    }
    const Json* ttl = find(before_, "spec", "ttlSecondsAfterFinished");
    if (ttl == nullptr || api::is_deleting(before_)) return std::move(plan_);
    for (const char* type : {"Complete", "Failed"}) {
      const Json* condition = api::condition(before_, type);
      if (condition == nullptr || str(*condition, "status") != "True") continue;
      Duration left = time_at(*condition, "lastTransitionTime").value_or(now_) + seconds(integer_of(ttl, 0)) - now_;
      if (left <= Duration::zero()) plan_.remove_job = true;
      else plan_.again_after = left;
    }
    return std::move(plan_);
  }

  bool counts_as_failed(const Json& pod) const {
    if (str(pod, "status", "phase") == "Failed") return true;
    return !only_replace_failed_ && api::is_deleting(pod) && str(pod, "status", "phase") != "Succeeded";
  }

  void count_pods() {
    std::map<std::string, ObjectPtr> tracked;
    for (const ObjectPtr& pod : pods_)
      if (has_finalizer(*pod)) tracked.emplace(api::uid_of(*pod), pod);
    succeeded_ = integer(before_, "status", "succeeded");
    failed_ = integer(before_, "status", "failed");
    completed_ = parse_indexes(str(before_, "status", "completedIndexes"), std::max<int64_t>(0, completions_));

    // Uids whose pods have lost the finalizer are counted for good; the others stay in the list.
    std::set<std::string> listed;
    auto settle = [&](const char* list, int64_t& count, JsonArray& kept) {
      for (const Json& uid : array(before_, "status", "uncountedTerminatedPods", list)) {
        auto pod = tracked.find(std::string(str(uid)));
        if (pod == tracked.end()) {
          ++count;
          continue;
        }
        kept.push_back(uid);
        listed.emplace(str(uid));
        plan_.release.push_back(pod->second);
      }
    };
    settle("succeeded", succeeded_, uncounted_succeeded_);
    settle("failed", failed_, uncounted_failed_);

    for (const ObjectPtr& pod : pods_) classify(pod, listed);
    Json& list = ensure(plan_.job, "status", "uncountedTerminatedPods");
    list = JsonObject();
    if (!uncounted_succeeded_.empty()) set(list, uncounted_succeeded_, "succeeded");
    if (!uncounted_failed_.empty()) set(list, uncounted_failed_, "failed");
  }

  void classify(const ObjectPtr& pod, const std::set<std::string>& listed) {
    const Json& object = *pod;
    bool success = str(object, "status", "phase") == "Succeeded";
    if (api::is_deleting(object) && !is_finished(object)) ++terminating_;
    if (is_active(object)) {
      active_.push_back(pod);
      if (is_ready(object)) ++ready_;
      restarts_ += restarts_of(object);
    }
    if (!has_finalizer(object) || listed.contains(std::string(api::uid_of(object)))) return;
    if (!success && !counts_as_failed(object)) return;
    auto index = index_of(object);
    // A success of an index that is complete already, or lies outside, counts for nothing.
    if (success && indexed_ && (!index || *index >= completions_ || !completed_.insert(*index).second)) {
      plan_.release.push_back(pod);
      return;
    }
    (success ? uncounted_succeeded_ : uncounted_failed_).push_back(Json(api::uid_of(object)));
    if (success) {
      plan_.failures = {};
    } else {
      ++plan_.failures.in_a_row;
      plan_.failures.last = now_;
    }
  }

  int64_t all_succeeded() const {
    return indexed_ ? static_cast<int64_t>(completed_.size()) : succeeded_ + static_cast<int64_t>(uncounted_succeeded_.size());
  }
  int64_t all_failed() const { return failed_ + static_cast<int64_t>(uncounted_failed_.size()); }

  bool is_ending() const {
    return api::condition_is_true(plan_.job, "FailureTarget") || api::condition_is_true(plan_.job, "SuccessCriteriaMet");
  }

  void judge() {
    if (is_ending()) return;
    auto fail_because = [&](std::string_view reason, std::string_view message) {
      api::set_condition(plan_.job, "FailureTarget", "True", reason, message, now_);
    };
    int64_t limit = integer_or(before_, 6, "spec", "backoffLimit");
    auto started = time_at(before_, "status", "startTime");
    const Json* deadline = find(before_, "spec", "activeDeadlineSeconds");
    if (all_failed() > limit || (restarts_ > 0 && (limit == 0 || restarts_ >= limit) && restarts_in_place())) {
      fail_because("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    } else if (deadline != nullptr && started.has_value() && !boolean(before_, "spec", "suspend")) {
      Duration left = *started + seconds(integer_of(deadline, 0)) - now_;
      if (left <= Duration::zero()) fail_because("DeadlineExceeded", "Job was active longer than specified deadline");
      else again_within(left);
    }
    if (is_ending()) return;
    bool complete = completions_ < 0 ? all_succeeded() > 0 && active_.empty() : all_succeeded() >= completions_;
    if (complete && !boolean(before_, "spec", "suspend"))
      api::set_condition(plan_.job, "SuccessCriteriaMet", "True", "CompletionsReached",
                         "Reached expected number of succeeded pods", now_);
  }
  bool restarts_in_place() const { return str(before_, "spec", "template", "spec", "restartPolicy") == "OnFailure"; }

  void note_suspension(bool suspended) {
    const Json* current = api::condition(before_, "Suspended");
    bool was = current != nullptr && str(*current, "status") == "True";
    if (suspended && !was) {
      api::set_condition(plan_.job, "Suspended", "True", "JobSuspended", "Job suspended", now_);
      erase(plan_.job, "startTime", "status");
      plan_.events.push_back({"Normal", "Suspended", "Job suspended"});
    } else if (!suspended && was && !is_ending()) {
      api::set_condition(plan_.job, "Suspended", "False", "JobResumed", "Job resumed", now_);
      plan_.events.push_back({"Normal", "Resumed", "Job resumed"});
      set(plan_.job, Json(rfc3339(now_)), "status", "startTime");
    }
    if (!suspended && find(plan_.job, "status", "startTime") == nullptr) {
      set(plan_.job, Json(rfc3339(now_)), "status", "startTime");
      if (const Json* deadline = find(before_, "spec", "activeDeadlineSeconds")) again_within(seconds(integer_of(deadline, 0)));
    }
  }

  void remove_all_active() {
    for (const ObjectPtr& pod : active_)
      if (static_cast<int64_t>(plan_.remove.size()) < kJobBurst) plan_.remove.push_back(pod);
  }

  void scale() {
    int64_t active = static_cast<int64_t>(active_.size());
    int64_t wanted = parallelism_;
    if (completions_ >= 0) wanted = std::min(parallelism_, completions_ - all_succeeded());
    else if (all_succeeded() > 0) wanted = std::min(parallelism_, active);  // a work queue that is being emptied
    wanted = std::max<int64_t>(0, wanted);
    std::vector<ObjectPtr> keep = active_;
    if (indexed_) drop_wrong_indexes(keep);
    std::sort(keep.begin(), keep.end(), [this](const ObjectPtr& a, const ObjectPtr& b) { return deletes_before({a}, {b}, now_); });
    for (size_t i = 0; static_cast<int64_t>(keep.size() - i) > wanted; ++i) plan_.remove.push_back(keep[i]);
    int64_t missing = wanted - static_cast<int64_t>(keep.size()) - (only_replace_failed_ ? terminating_ : 0);
    missing = std::min(missing, kJobBurst);
    if (missing <= 0 || !plan_.remove.empty()) return;
    if (Duration wait = backoff_left(); wait > Duration::zero()) return again_within(wait);
    create(missing, keep);
  }

  // Two pods of one index, or of one that is complete or outside: one too many.
  void drop_wrong_indexes(std::vector<ObjectPtr>& keep) {
    std::set<int64_t> seen;
    std::erase_if(keep, [&](const ObjectPtr& pod) {
      auto index = index_of(*pod);
      bool right = index && *index < completions_ && !completed_.contains(*index) && seen.insert(*index).second;
      if (!right) plan_.remove.push_back(pod);
      return !right;
    });
  }

  // 10 s after the first failure in a row, doubling up to 10 min.
  Duration backoff_left() const {
    if (plan_.failures.in_a_row == 0 || !plan_.failures.last) return Duration::zero();
    constexpr Duration kFirst = std::chrono::seconds(10), kMost = std::chrono::minutes(10);
    Duration delay = std::min<Duration>(kMost, kFirst * (1 << std::min<int64_t>(plan_.failures.in_a_row - 1, 10)));
    return *plan_.failures.last + delay - now_;
  }

  void create(int64_t count, const std::vector<ObjectPtr>& active) {
    static const Json kNone = JsonObject();
    const Json* found = find(before_, "spec", "template");
    Json pod = pod_from_template(found == nullptr ? kNone : *found, before_);
    Json& finalizers = ensure(pod, "metadata", "finalizers");
    if (!finalizers.is_array()) finalizers = JsonArray();
    finalizers.as_array().push_back(Json(kJobFinalizer));
    std::set<int64_t> taken = completed_;
    for (const ObjectPtr& other : active)
      if (auto index = index_of(*other)) taken.insert(*index);
    if (only_replace_failed_)
      for (const ObjectPtr& other : pods_)
        if (auto index = index_of(*other); index && !is_finished(*other)) taken.insert(*index);
    int64_t index = 0;
    for (int64_t made = 0; made < count; ++made) {
      if (!indexed_) {
        plan_.create.push_back(pod);
        continue;
      }
      while (taken.contains(index)) ++index;
      if (index >= completions_) break;
      plan_.create.push_back(with_index(pod, index++));
    }
  }

  Json with_index(Json pod, int64_t index) const {
    std::string number = std::to_string(index), name(api::name_of(before_));
    set(pod, Json(number), "metadata", "annotations", kJobIndex);
    set(pod, Json(number), "metadata", "labels", kJobIndex);
    set(pod, Json(fmt::format("{}-{}-", name, index)), "metadata", "generateName");
    set(pod, Json(fmt::format("{}-{}", name, index).substr(0, 63)), "spec", "hostname");
    for (const char* list : {"containers", "initContainers"}) {
      Json* containers = find(pod, "spec", list);
      if (containers == nullptr || !containers->is_array()) continue;
      for (Json& container : containers->get_array()) add_index_variable(container);
    }
    return pod;
  }
  static void add_index_variable(Json& container) {
    if (!container.is_object()) return;
    Json& env = ensure(container, "env");
    if (!env.is_array()) env = JsonArray();
    for (const Json& variable : env.get_array())
      if (str(variable, "name") == "JOB_COMPLETION_INDEX") return;
    std::string path = fmt::format("metadata.annotations['{}']", kJobIndex);
    env.get_array().push_back(JsonObject{
        {"name", "JOB_COMPLETION_INDEX"}, {"valueFrom", JsonObject{{"fieldRef", JsonObject{{"fieldPath", path}}}}}});
  }

  // The end is said only once every pod has ended and is counted.
  void conclude() {
    bool all_counted = uncounted_succeeded_.empty() && uncounted_failed_.empty() && plan_.release.empty();
    if (!is_ending() || !all_counted || !active_.empty() || terminating_ > 0) return;
    if (const Json* target = api::condition(plan_.job, "FailureTarget"); target != nullptr && str(*target, "status") == "True") {
      std::string reason(str(*target, "reason")), message(str(*target, "message"));
      api::set_condition(plan_.job, "Failed", "True", reason, message, now_);
      plan_.events.push_back({"Warning", reason, message});
      return;
    }
    api::set_condition(plan_.job, "Complete", "True", "CompletionsReached", "Reached expected number of succeeded pods", now_);
    set(plan_.job, Json(rfc3339(now_)), "status", "completionTime");
    plan_.events.push_back({"Normal", "Completed", "Job completed"});
  }

  JobPlan finish() {
    Json& status = ensure(plan_.job, "status");
    auto count = [&](const char* name, int64_t value) {
      if (value == 0) erase(status, name);  // as Go's omitempty
      else set(status, value, name);
    };
    count("active", static_cast<int64_t>(active_.size()));
    // For indexed Jobs successes are the indexes; otherwise what is counted for good.
    count("succeeded", indexed_ ? static_cast<int64_t>(completed_.size()) : succeeded_);
    count("failed", failed_);
    set(status, ready_, "ready");
    set(status, terminating_, "terminating");
    if (indexed_ && !completed_.empty()) set(status, Json(format_indexes(completed_)), "completedIndexes");
    const Json* status_before = find(before_, "status");
    plan_.status_changed = status_before == nullptr || !api::semantically_equal(*status_before, status);
    // Pods whose uid enters the list now lose their finalizer in the next step, after the list was written; but the
    // write changes the Job and so asks for that step.
    return std::move(plan_);
  }

  void again_within(Duration wait) {
    if (!plan_.again_after || wait < *plan_.again_after) plan_.again_after = wait;
  }

  const Json& before_;
  const std::vector<ObjectPtr>& pods_;
  WallTime now_;
  bool indexed_ = false, only_replace_failed_ = false;
  int64_t completions_ = -1, parallelism_ = 1;
  std::vector<ObjectPtr> active_;
  int64_t ready_ = 0, terminating_ = 0, restarts_ = 0, succeeded_ = 0, failed_ = 0;
  std::set<int64_t> completed_;
  JsonArray uncounted_succeeded_, uncounted_failed_;
  JobPlan plan_;
};

}  // namespace

bool is_job_finished(const Json& job) { return api::condition_is_true(job, "Complete") || api::condition_is_true(job, "Failed"); }

JobPlan plan_job(const Json& job, const std::vector<ObjectPtr>& pods, bool may_scale, JobFailures failures, WallTime now) {
  return JobStep(job, pods, failures, now).run(may_scale);
}

}  // namespace rs::control
