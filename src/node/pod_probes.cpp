// The probes of a pod's running containers. A startup probe comes first; readiness and liveness begin when it has passed.
#include "node/pod_worker.h"

namespace rs::node {

void PodWorker::start_probes(const std::string& name) {
  const Json* spec = container_spec(*pod_, name);
  if (spec == nullptr) return;
  stop_probes(name);
  probes_[name] = std::make_shared<async::TaskGroup>(loop_);
  const ContainerView& c = view_.containers[name];
  const Json* startup = find(*spec, "startupProbe");
  if (startup != nullptr && !c.startup_passed)
    probes_[name]->spawn("startup probe", probe_startup(name, c.restarts, *startup));
  else
    probe_after_startup(name, *spec);
}

void PodWorker::probe_after_startup(const std::string& name, const Json& spec) {
  auto it = probes_.find(name);
  if (it == probes_.end()) return;
  int restarts = view_.containers[name].restarts;
  if (const Json* probe = find(spec, "readinessProbe")) it->second->spawn("readiness probe", probe_readiness(name, restarts, *probe));
  if (const Json* probe = find(spec, "livenessProbe")) it->second->spawn("liveness probe", probe_liveness(name, restarts, *probe));
}

awaitable<void> PodWorker::end_group(std::shared_ptr<async::TaskGroup> group) { co_await group->stop(); }

void PodWorker::stop_probes(const std::string& name) {
  auto it = probes_.find(name);
  if (it == probes_.end()) return;
  it->second->cancel();
  if (!tasks_.cancelled()) tasks_.spawn("end of probes", end_group(it->second));
  probes_.erase(it);
}

awaitable<Result<void>> PodWorker::probe_once(std::string name, const Json& probe, std::string_view kind, bool quiet) {
  auto result = co_await run_action(tools(), target(name), probe, probe_settings(probe).timeout);
  if (!result && !quiet) event("Warning", "Unhealthy", fmt::format("{} probe failed: {}", kind, result.error().message), name);
  co_return result;
}

awaitable<void> PodWorker::probe_startup(std::string name, int restarts, Json probe) {
  ProbeSettings settings = probe_settings(probe);
  ProbeCounter counter(settings, false);
  co_await loop_.sleep(settings.initial_delay);
  MonoTime counted = loop_.now();
  for (int attempt = 0;; ++attempt) {
    bool counts = loop_.now() - counted >= settings.period;
    auto result = co_await probe_once(name, probe, "Startup", !counts);
    if (!still(name, restarts)) co_return;
    if (counts) counted = loop_.now();
    if (result.has_value() || counts) {
      if (counter.add(result.has_value())) break;
      if (counter.exhausted()) {
        view_.containers[name].kill_reason = fmt::format("Container {} failed startup probe, will be restarted", name);
        changed();
        co_return;
      }
    }
    co_await loop_.sleep(early_retry(attempt, settings.period));
  }
  view_.containers[name].startup_passed = true;
  changed();
  if (const Json* spec = container_spec(*pod_, name)) probe_after_startup(name, Json(*spec));
}

awaitable<void> PodWorker::probe_readiness(std::string name, int restarts, Json probe) {
  ProbeSettings settings = probe_settings(probe);
  bool ready = view_.containers[name].ready;
  ProbeCounter counter(settings, ready);
  bool succeeded_once = ready;
  if (!ready) co_await loop_.sleep(settings.initial_delay);
  MonoTime counted = loop_.now();
  for (int attempt = 0;; ++attempt) {
    bool counts = succeeded_once || loop_.now() - counted >= settings.period;
    auto result = co_await probe_once(name, probe, "Readiness", !counts);
    if (!still(name, restarts)) co_return;
    if (counts) counted = loop_.now();
    succeeded_once = succeeded_once || result.has_value();
    bool verdict = counter.add(result.has_value());
    if (verdict != view_.containers[name].ready) {
      view_.containers[name].ready = verdict;
      changed();
    }
    co_await loop_.sleep(succeeded_once ? settings.period : early_retry(attempt, settings.period));
  }
}

awaitable<void> PodWorker::probe_liveness(std::string name, int restarts, Json probe) {
  ProbeSettings settings = probe_settings(probe);
  ProbeCounter counter(settings, true);
  co_await loop_.sleep(settings.initial_delay);
  for (;;) {
    auto result = co_await probe_once(name, probe, "Liveness", false);
    if (!still(name, restarts)) co_return;
    counter.add(result.has_value());
    if (counter.exhausted()) {
      view_.containers[name].kill_reason = fmt::format("Container {} failed liveness probe, will be restarted", name);
      changed();
      co_return;
    }
    co_await loop_.sleep(settings.period);
  }
}

}  // namespace rs::node
