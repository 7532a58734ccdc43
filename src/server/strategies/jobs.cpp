// Jobs: the selector and labels that tie pods to their job (pkg/registry/batch/job/strategy.go generateSelector).
#include "api/meta.h"
#include "server/strategies/strategies.h"

namespace rs::server {
namespace {

class JobStrategy final : public Strategy {
 public:
  Result<void> prepare_create(Core&, Write&, Json& job) const override {
    if (boolean(job, "spec", "manualSelector")) return {};
    std::string uid(api::uid_of(job)), name(api::name_of(job));
    Json& labels = ensure(job, "spec", "template", "metadata", "labels");
    for (const char* key : {"batch.kubernetes.io/controller-uid", "controller-uid"}) set(labels, Json(uid), key);
    for (const char* key : {"batch.kubernetes.io/job-name", "job-name"}) set(labels, Json(name), key);
    if (object(job, "metadata", "labels").empty()) {
      Json copy = labels;
      set(job, std::move(copy), "metadata", "labels");
    }
    set(job, Json(uid), "spec", "selector", "matchLabels", "batch.kubernetes.io/controller-uid");
    return {};
  }
};
}  // namespace

const Strategy& job_strategy() {
  static const JobStrategy kStrategy;
  return kStrategy;
}

}  // namespace rs::server
