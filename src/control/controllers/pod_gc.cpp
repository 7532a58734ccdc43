#include "control/controllers/pod_gc.h"

#include "control/controllers/pods.h"

namespace rs::control {

using client::resources::kNodes;
using client::resources::kPods;

std::vector<DoomedPod> doomed_pods(const std::vector<ObjectPtr>& pods, const std::set<std::string, std::less<>>& absent_nodes,
                                   int64_t finished_max) {
  std::vector<DoomedPod> doomed;
  std::vector<ObjectPtr> finished;
  for (const ObjectPtr& pod : pods) {
    std::string_view node = str(*pod, "spec", "nodeName");
    if (!node.empty() && absent_nodes.contains(node))
      doomed.push_back({pod, "PodGC: node no longer exists"});
    else if (node.empty() && api::is_deleting(*pod))
      doomed.push_back({pod, ""});
    else if (is_finished(*pod) && !api::is_deleting(*pod))
      finished.push_back(pod);
  }
  int64_t surplus = static_cast<int64_t>(finished.size()) - finished_max;
  if (finished_max <= 0 || surplus <= 0) return doomed;
  std::sort(finished.begin(), finished.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
    auto order = [](const Json& pod) { return std::pair(str(pod, "metadata", "creationTimestamp"), api::key_of(pod)); };
    return order(*a) < order(*b);
  });
  for (int64_t i = 0; i < surplus; ++i) doomed.push_back({finished[static_cast<size_t>(i)], ""});
  return doomed;
}

namespace {

class PodCollector final : public Controller {
 public:
  PodCollector(Context context, int64_t finished_max)
      : Controller(context, "podgc", 1), finished_max_(finished_max), nodes_(informer(kNodes)), pods_(informer(kPods)) {
    nodes_.on_change([this](const ObjectKey&, const ObjectPtr&, const ObjectPtr& now) {
      if (now == nullptr) queue_.add(kAll);
    });
  }
  void start() override {
    Controller::start();
    queue_.add(kAll);
  }

 private:
  static constexpr Duration kPeriod = std::chrono::seconds(20);
  // A node may only have been registered anew: its pods are left alone that long.
  static constexpr Duration kQuarantine = std::chrono::seconds(40);
  inline static const ObjectKey kAll{"", "all"};

  awaitable<Result<Next>> reconcile(ObjectKey) override {
    auto absent = co_await absent_nodes();
    std::vector<ObjectPtr> pods;
    for (const auto& [key, pod] : pods_.objects()) pods.push_back(pod);
    for (DoomedPod& doomed : doomed_pods(pods, absent, finished_max_)) {
      auto removed = co_await remove(std::move(doomed));
      if (!removed) co_return fail(removed.error());
    }
    co_return Next::after(kPeriod);
  }

  // Nodes that pods name, that have been missing for the quarantine, and that the server does not know either.
  awaitable<std::set<std::string, std::less<>>> absent_nodes() {
    std::set<std::string, std::less<>> named, absent;
    for (const auto& [key, pod] : pods_.objects())
      if (auto node = str(*pod, "spec", "nodeName"); !node.empty() && nodes_.get("", node) == nullptr) named.emplace(node);
    std::erase_if(missing_since_, [&](const auto& entry) { return !named.contains(entry.first); });
    for (const std::string& node : named) {
      MonoTime since = missing_since_.try_emplace(node, loop().now()).first->second;
      if (loop().now() - since < kQuarantine) continue;
      auto live = co_await client().get(kNodes, {"", node});
      if (!live && live.error().code == Code::kNotFound) absent.insert(node);
    }
    co_return absent;
  }

  awaitable<Result<void>> remove(DoomedPod doomed) {
    ObjectKey key = api::key_of(*doomed.pod);
    if (!is_finished(*doomed.pod) && !str(*doomed.pod, "spec", "nodeName").empty()) {
      Json updated = *doomed.pod;
      set(updated, Json("Failed"), "status", "phase");
      api::set_condition(updated, "DisruptionTarget", "True", "DeletionByPodGC", doomed.reason, wall());
      auto written = co_await client().update(kPods, std::move(updated), "status");
      if (!written && written.error().code != Code::kNotFound) co_return fail(written.error());
    }
    client::DeleteOptions options;
    options.grace_period_seconds = 0;
    options.precondition_uid = api::uid_of(*doomed.pod);
    auto removed = co_await client().remove(kPods, key, std::move(options));
    if (!removed && removed.error().code != Code::kNotFound) co_return fail(removed.error());
    co_return Result<void>();
  }

  int64_t finished_max_;
  client::Informer& nodes_;
  client::Informer& pods_;
  std::map<std::string, MonoTime, std::less<>> missing_since_;
};

}  // namespace

std::unique_ptr<Controller> pod_garbage_collector(Context context, int64_t finished_max) {
  return std::make_unique<PodCollector>(context, finished_max);
}

}  // namespace rs::control
