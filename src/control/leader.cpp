#include "control/leader.h"

namespace rs::control {

using client::resources::kLeases;

namespace {
Duration duration_of(const Json& lease) { return std::chrono::seconds(integer_or(lease, 15, "spec", "leaseDurationSeconds")); }
}  // namespace

bool may_take_lease(const Json& lease, std::string_view identity, MonoTime observed, MonoTime now) {
  std::string_view holder = str(lease, "spec", "holderIdentity");
  return holder.empty() || holder == identity || observed + duration_of(lease) < now;
}

LeaderElector::LeaderElector(client::Client& client, LeaderOptions options, std::function<void()> started,
                             std::function<void()> lost)
    : client_(client), options_(std::move(options)), started_(std::move(started)), lost_(std::move(lost)), tasks_(client.loop()) {}

async::awaitable<void> LeaderElector::stop() {
  co_await tasks_.stop();
  if (!std::exchange(leads_, false)) co_return;
  lost_();
  (void)co_await release();
}

async::awaitable<void> LeaderElector::run() {
  for (;;) {
    bool held = co_await try_to_lead();
    MonoTime now = client_.loop().now();
    if (held) renewed_ = now;
    if (held && !std::exchange(leads_, true)) started_();
    if (!held && leads_ && now - renewed_ > options_.renew_deadline) {
      leads_ = false;
      lost_();
    }
    co_await client_.loop().sleep(options_.retry_period);
  }
}

async::awaitable<bool> LeaderElector::try_to_lead() {
  auto found = co_await client_.get(kLeases, options_.lease);
  if (!found && found.error().code != Code::kNotFound) co_return false;
  Json lease = found ? std::move(*found) : Json(JsonObject{{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}});
  std::string now = rfc3339_micro(client_.loop().wall());
  if (found) {
    std::string record = fmt::format("{} {}", str(lease, "spec", "holderIdentity"), str(lease, "spec", "renewTime"));
    if (record != seen_record_) {
      seen_record_ = std::move(record);
      seen_ = client_.loop().now();
    }
    if (!may_take_lease(lease, options_.identity, seen_, client_.loop().now())) co_return false;
  } else {
    set(lease, Json(options_.lease.ns), "metadata", "namespace");
    set(lease, Json(options_.lease.name), "metadata", "name");
  }
  if (str(lease, "spec", "holderIdentity") != options_.identity) {
    set(lease, integer(lease, "spec", "leaseTransitions") + (found ? 1 : 0), "spec", "leaseTransitions");
    set(lease, Json(now), "spec", "acquireTime");
    set(lease, Json(options_.identity), "spec", "holderIdentity");
  }
  set(lease, std::chrono::duration_cast<std::chrono::seconds>(options_.lease_duration).count(), "spec", "leaseDurationSeconds");
  set(lease, Json(now), "spec", "renewTime");
  // The resourceVersion read above makes the write fail when somebody else was quicker.
  auto written = found ? co_await client_.update(kLeases, std::move(lease)) : co_await client_.create(kLeases, std::move(lease));
  co_return written.has_value();
}

async::awaitable<Result<void>> LeaderElector::release() {
  auto lease = co_await client_.get(kLeases, options_.lease);
  if (!lease) co_return fail(lease.error());
  if (str(*lease, "spec", "holderIdentity") != options_.identity) co_return Result<void>();
  set(*lease, Json(""), "spec", "holderIdentity");
  set(*lease, 1, "spec", "leaseDurationSeconds");
  auto written = co_await client_.update(kLeases, std::move(*lease));
  if (!written) co_return fail(written.error());
  co_return Result<void>();
}

}  // namespace rs::control
