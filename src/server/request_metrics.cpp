#include "server/request_metrics.h"

namespace rs::server {

RequestMetrics::RequestMetrics(Core& core) : core_(core) {
  metrics::Registry* registry = core.options.metrics;
  if (registry == nullptr) return;
  registry->on_scrape([this, registry, alive = alive_] {
    if (!*alive) return;
    for (const auto& cache : core_.cache.all()) {
      metrics::Labels labels{{"resource", qualified(cache->kind())}};
      registry->gauge("apiserver_storage_objects", "Objects stored, by resource.", labels)
          .set(double(cache->objects().size()));
      registry->gauge("apiserver_registered_watchers", "Watches open, by resource.", labels).set(double(cache->followers()));
    }
    double age = std::chrono::duration<double>(core_.cache.age()).count();
    registry->gauge("roadstead_watch_cache_age_seconds", "Since the store last proved that the caches are current.").set(age);
    registry->gauge("roadstead_watch_cache_revision", "Store revision that the caches have reached.")
        .set(double(core_.cache.revision()));
    registry->gauge("apiserver_current_inflight_requests", "Requests under way.", {{"request_kind", "readOnly"}})
        .set(double(reading_));
    registry->gauge("apiserver_current_inflight_requests", "Requests under way.", {{"request_kind", "mutating"}})
        .set(double(writing_));
  });
}

Result<void> RequestMetrics::enter(bool mutating) {
  size_t& count = mutating ? writing_ : reading_;
  if (count >= (mutating ? kWriteLimit : kReadLimit)) {
    auto details = std::make_shared<ErrorDetails>();
    details->retry_after_seconds = 1;
    return fail(Error{Code::kTooManyRequests, "Too many requests, please try again later.", std::move(details)});
  }
  ++count;
  return {};
}

void RequestMetrics::leave(bool mutating) { --(mutating ? writing_ : reading_); }

void RequestMetrics::finished(const RequestInfo& info, int status, Duration took) {
  metrics::Registry* registry = core_.options.metrics;
  if (registry == nullptr) return;
  std::string verb = info.is_resource ? info.verb : "other";
  std::string resource = info.is_resource && core_.kinds.by_resource(info.group, info.version, info.resource) != nullptr
                             ? info.resource : std::string();
  registry->counter("apiserver_request_total", "Requests answered.",
                    {{"verb", verb}, {"group", resource.empty() ? "" : info.group}, {"resource", resource},
                     {"code", std::to_string(status)}})
      .add();
  registry->histogram("apiserver_request_duration_seconds", "Time to answer, without watches.", metrics::latency_bounds(1),
                      {{"verb", verb}, {"resource", resource}})
      .observe(std::chrono::duration<double>(took).count());
}

}  // namespace rs::server
