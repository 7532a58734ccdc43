#include "control/controllers/deployment_plan.h"

#include <algorithm>

#include "control/controllers/deployment_status.h"

namespace rs::control {
namespace {

// Text that is equal for semantically equal values: members sorted, null and empty ones left out.
void append_canonical(std::string& out, const Json& value) {
  if (value.is_object()) {
    std::vector<std::string_view> names;
    for (const auto& member : value.get_object()) names.push_back(member.key());
    std::sort(names.begin(), names.end());
    out += '{';
    for (std::string_view name : names) {
      std::string text;
      append_canonical(text, *value.get_object().if_contains(name));
      if (text == "null" || text == "{}" || text == "[]" || text == "\"\"") continue;
      out += name;
      out += ':';
      out += text;
      out += ',';
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    for (const Json& item : value.get_array()) {
      append_canonical(out, item);
      out += ',';
    }
    out += ']';
  } else {
    out += to_text(value);
  }
}

Json without_hash(const Json& pod_template) {
  Json copy = pod_template;
  erase(copy, kPodTemplateHash, "metadata", "labels");
  return copy;
}

const Json& template_of(const Json& object) {
  static const Json kNone = JsonObject();
  const Json* found = find(object, "spec", "template");
  return found == nullptr ? kNone : *found;
}

// Annotations of the Deployment that say something about itself only.
bool is_own_annotation(std::string_view name) {
  return name == "kubectl.kubernetes.io/last-applied-configuration" || name == kRevision || name == kRevisionHistory ||
         name == kDesiredReplicas || name == kMaxReplicas || name == "deprecated.deployment.rollback.to";
}

constexpr size_t kRevisionHistoryLength = 2000;  // characters

// Copies the Deployment's annotations and gives the set the revision, if it is higher than the one it has.
void annotate_set(Json& set, const Json& deployment, int64_t revision) {
  for (const auto& member : object(deployment, "metadata", "annotations"))
    if (!is_own_annotation(member.key())) rs::set(set, member.value(), "metadata", "annotations", std::string_view(member.key()));
  int64_t before = revision_of(set);
  if (before >= revision) return;
  rs::set(set, Json(std::to_string(revision)), "metadata", "annotations", kRevision);
  if (before == 0) return;
  std::string history(api::annotation(set, kRevisionHistory));
  if (!history.empty()) history += ',';
  history += std::to_string(before);
  while (history.size() > kRevisionHistoryLength && history.contains(',')) history.erase(0, history.find(',') + 1);
  rs::set(set, Json(history), "metadata", "annotations", kRevisionHistory);
}

class Rollout {
 public:
  Rollout(const Json& deployment, const std::vector<ObjectPtr>& replica_sets, WallTime now)
      : before_(deployment), deployment_(deployment), now_(now) {
    ObjectPtr found = find_new_replica_set(deployment, replica_sets);
    for (const ObjectPtr& set : replica_sets) {
      if (set == found) new_ = sets_.size();
      sets_.push_back({*set, set, {}});
    }
  }

  DeploymentPlan run(bool old_pods_running) {
    if (api::is_deleting(before_)) {
      set_counts(deployment_, sets_, new_set(), now_);
      return finish();
    }
    note_pause();
    if (boolean(before_, "spec", "paused")) {
      adopt_new_set();
      scale();
      clean_up();
      set_counts(deployment_, sets_, new_set(), now_);
    } else if (was_scaled()) {
      adopt_new_set();
      scale();
      set_counts(deployment_, sets_, new_set(), now_);
    } else {
      is_rolling_update(before_) ? roll() : recreate(old_pods_running);
      set_rollout_status(deployment_, before_, sets_, new_set(), now_);
    }
    return finish();
  }

 private:
  WorkingSet* new_set() { return new_.has_value() ? &sets_[*new_] : nullptr; }
  std::vector<WorkingSet*> old_sets() {
    std::vector<WorkingSet*> old;
    for (size_t i = 0; i < sets_.size(); ++i)
      if (i != new_) old.push_back(&sets_[i]);
    return old;
  }
  std::vector<WorkingSet*> active_sets() {
    std::vector<WorkingSet*> active;
    for (WorkingSet& set : sets_)
      if (set.replicas() > 0) active.push_back(&set);
    return active;
  }
  int64_t total_replicas() const {
    int64_t total = 0;
    for (const WorkingSet& set : sets_) total += set.replicas();
    return total;
  }

  void note_pause() {
    if (!has_progress_deadline(before_)) return;
    const Json* progressing = api::condition(before_, "Progressing");
    std::string_view reason = progressing == nullptr ? std::string_view() : str(*progressing, "reason");
    if (reason == "ProgressDeadlineExceeded") return;  // a rollout that failed stays failed
    bool paused = boolean(before_, "spec", "paused");
    if (paused && reason != "DeploymentPaused")
      set_deployment_condition(deployment_, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now_);
    else if (!paused && reason == "DeploymentPaused")
      set_deployment_condition(deployment_, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now_);
  }

  // spec.replicas changed since the active sets were last sized.
  bool was_scaled() {
    for (WorkingSet* set : active_sets()) {
      int64_t desired = annotation_number(set->object, kDesiredReplicas, -1);
      if (desired >= 0 && desired != wanted_replicas(before_)) return true;
    }
    return false;
  }

  int64_t next_revision() {
    int64_t most = 0;
    for (WorkingSet* set : old_sets()) most = std::max(most, revision_of(set->object));
    return most + 1;
  }

  // Brings an existing new set's annotations up to date; the Deployment takes over its revision.
  void adopt_new_set() {
    if (!new_.has_value()) return;
    WorkingSet& set = *new_set();
    annotate_set(set.object, before_, next_revision());
    int64_t min_ready = integer(before_, "spec", "minReadySeconds");
    if (integer(set.object, "spec", "minReadySeconds") != min_ready) rs::set(set.object, min_ready, "spec", "minReadySeconds");
    revision_ = std::string(api::annotation(set.object, kRevision));
    if (has_progress_deadline(before_) && api::condition(deployment_, "Progressing") == nullptr)
      set_deployment_condition(deployment_, "Progressing", "True", "FoundNewReplicaSet",
                               fmt::format("Found new replica set \"{}\"", api::name_of(set.object)), now_);
  }

  void make_new_set() {
    if (new_.has_value()) return adopt_new_set();
    std::string hash = pod_template_hash(template_of(before_), integer(before_, "status", "collisionCount"));
    Json pod_template = template_of(before_);
    rs::set(pod_template, Json(hash), "metadata", "labels", kPodTemplateHash);
    const Json* wanted_selector = find(before_, "spec", "selector");
    Json selector = wanted_selector == nullptr ? Json(JsonObject()) : *wanted_selector;
    rs::set(selector, Json(hash), "matchLabels", kPodTemplateHash);

    Json set = JsonObject{{"apiVersion", "apps/v1"}, {"kind", "ReplicaSet"}};
    std::string name = fmt::format("{}-{}", api::name_of(before_), hash);
    rs::set(set, Json(name), "metadata", "name");
    rs::set(set, Json(api::namespace_of(before_)), "metadata", "namespace");
    rs::set(set, *find(pod_template, "metadata", "labels"), "metadata", "labels");
    rs::set(set, JsonArray{api::owner_reference_to(before_)}, "metadata", "ownerReferences");
    if (int64_t min_ready = integer(before_, "spec", "minReadySeconds"); min_ready > 0)
      rs::set(set, min_ready, "spec", "minReadySeconds");
    rs::set(set, std::move(selector), "spec", "selector");
    rs::set(set, std::move(pod_template), "spec", "template");
    rs::set(set, 0, "spec", "replicas");
    revision_ = std::to_string(next_revision());
    annotate_set(set, before_, next_revision());
    sets_.push_back({std::move(set), nullptr, {}});
    new_ = sets_.size() - 1;
    scale_set(*new_set(), before_, new_set_replicas(before_, total_replicas(), 0));
    if (has_progress_deadline(before_))
      set_deployment_condition(deployment_, "Progressing", "True", "NewReplicaSetCreated",
                               fmt::format("Created new replica set \"{}\"", name), now_);
  }

  void roll() {
    make_new_set();
    WorkingSet& set = *new_set();
    if (set.before == nullptr) return;
    int64_t wanted = wanted_replicas(before_);
    int64_t size = set.replicas() > wanted ? wanted : new_set_replicas(before_, total_replicas(), set.replicas());
    int64_t size_before = set.replicas();
    scale_set(set, before_, size);
    if (size != size_before) return;
    if (scale_old_sets_down(old_sets(), set, before_)) return;
    if (is_complete(before_)) clean_up();
  }

  void recreate(bool old_pods_running) {
    adopt_new_set();
    bool scaled_down = false;
    for (WorkingSet* set : old_sets())
      if (set->replicas() > 0) scaled_down |= scale_set(*set, before_, 0);
    if (scaled_down || old_pods_running) return;
    make_new_set();
    if (new_set()->before == nullptr) return;
    scale_set(*new_set(), before_, wanted_replicas(before_));
    if (is_complete(before_)) clean_up();
  }

  // While paused, or when only the number changed: resize without rolling.
  void scale() {
    std::vector<WorkingSet*> active = active_sets();
    if (active.size() <= 1) {
      WorkingSet* target = !active.empty() ? active.front() : new_set();
      if (target == nullptr)
        for (WorkingSet* set : old_sets())
          if (target == nullptr || older(*target, *set)) target = set;
      if (target != nullptr) scale_set(*target, before_, wanted_replicas(before_));
      return;
    }
    if (is_saturated()) {
      for (WorkingSet* set : old_sets())
        if (set->replicas() > 0) scale_set(*set, before_, 0);
      return;
    }
    if (is_rolling_update(before_)) scale_in_proportion(active, before_);
  }
  bool is_saturated() {
    int64_t wanted = wanted_replicas(before_);
    return new_.has_value() && annotation_number(new_set()->object, kDesiredReplicas, -1) == wanted &&
           new_set()->replicas() == wanted && new_set()->available() == wanted;
  }

  // Old sets without pods beyond revisionHistoryLimit go, lowest revision first.
  void clean_up() {
    int64_t limit = integer_or(before_, 10, "spec", "revisionHistoryLimit");
    std::vector<WorkingSet*> old;
    for (WorkingSet* set : old_sets())
      if (!api::is_deleting(set->object)) old.push_back(set);
    int64_t surplus = static_cast<int64_t>(old.size()) - std::max<int64_t>(0, limit);
    if (surplus <= 0) return;
    std::sort(old.begin(), old.end(), [](const WorkingSet* a, const WorkingSet* b) {
      int64_t a_revision = revision_of(a->object), b_revision = revision_of(b->object);
      return a_revision != b_revision ? a_revision < b_revision : older(*a, *b);
    });
    for (int64_t i = 0; i < surplus; ++i) {
      const Json& set = old[static_cast<size_t>(i)]->object;
      bool idle = integer(set, "spec", "replicas") == 0 && integer(set, "status", "replicas") == 0 &&
                  integer(set, "metadata", "generation") <= integer(set, "status", "observedGeneration");
      if (idle) plan_.remove.push_back(api::key_of(set));
    }
  }

  DeploymentPlan finish() {
    for (WorkingSet& set : sets_) {
      if (set.before == nullptr)
        plan_.create = ReplicaSetWrite{std::move(set.object), std::move(set.event)};
      else if (set.object != *set.before && std::ranges::find(plan_.remove, api::key_of(set.object)) == plan_.remove.end())
        plan_.update.push_back({std::move(set.object), std::move(set.event)});
    }
    if (!revision_.empty() && revision_ != api::annotation(before_, kRevision)) plan_.revision = revision_;
    const Json* status = find(deployment_, "status");
    plan_.status = status == nullptr ? Json(JsonObject()) : *status;
    const Json* status_before = find(before_, "status");
    plan_.status_changed = status_before == nullptr || !api::semantically_equal(*status_before, plan_.status);
    plan_.again_after = until_deadline(deployment_, now_);
    return std::move(plan_);
  }

  const Json& before_;
  Json deployment_;            // the copy whose status is worked on
  WallTime now_;
  std::vector<WorkingSet> sets_;
  std::optional<size_t> new_;  // index of the new set
  std::string revision_;
  DeploymentPlan plan_;
};

}  // namespace

std::string pod_template_hash(const Json& pod_template, int64_t collision_count) {
  std::string text;
  append_canonical(text, without_hash(pod_template));
  if (collision_count > 0) text += fmt::format("#{}", collision_count);
  uint32_t hash = 2166136261u;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  std::string encoded = std::to_string(hash);
  for (char& c : encoded) c = kLetters[static_cast<unsigned char>(c) % kLetters.size()];
  return encoded;
}

bool same_template(const Json& a, const Json& b) { return api::semantically_equal(without_hash(a), without_hash(b)); }

ObjectPtr find_new_replica_set(const Json& deployment, const std::vector<ObjectPtr>& replica_sets) {
  ObjectPtr found;
  for (const ObjectPtr& set : replica_sets) {
    if (!same_template(template_of(*set), template_of(deployment))) continue;
    if (found == nullptr || older({*set, set, {}}, {*found, found, {}})) found = set;
  }
  return found;
}

DeploymentPlan plan_deployment(const Json& deployment, const std::vector<ObjectPtr>& replica_sets, bool old_pods_running,
                               WallTime now) {
  return Rollout(deployment, replica_sets, now).run(old_pods_running);
}

Json with_create_failure(const Json& deployment, std::string_view replica_set, std::string_view message, WallTime now) {
  Json updated = deployment;
  set_deployment_condition(updated, "Progressing", "False", "ReplicaSetCreateError",
                           fmt::format("Failed to create new replica set \"{}\": {}", replica_set, message), now);
  return updated;
}

}  // namespace rs::control
