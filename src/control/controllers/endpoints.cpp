#include "control/controllers/endpoints.h"

#include "control/controllers/endpoint_slices_plan.h"
#include "control/controllers/endpoints_plan.h"

namespace rs::control {
namespace {

using client::resources::kEndpoints;
using client::resources::kEndpointSlices;
using client::resources::kNodes;
using client::resources::kPods;
using client::resources::kServices;

// What the two controllers share: services, the pods they select, and when the first unpublished change happened.
class ServiceFollower : public Controller {
 protected:
  ServiceFollower(Context context, std::string name)
      : Controller(context, std::move(name)), services_(informer(kServices)), pods_(informer(kPods)) {
    services_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr&) { changed(key); });
    pods_.on_change([this](const ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
      if (before != nullptr && now != nullptr && !matters(*before, *now)) return;
      for (const ObjectPtr& service : services_.in_namespace(key.ns))
        if ((before != nullptr && selects(*service, *before)) || (now != nullptr && selects(*service, *now)))
          changed(api::key_of(*service));
    });
  }

  // Most pod updates (restart counts, other conditions) do not touch what is published.
  static bool matters(const Json& before, const Json& now) {
    auto same = [&](auto... path) {
      const Json *a = find(before, path...), *b = find(now, path...);
      return a == nullptr || b == nullptr ? a == b : *a == *b;
    };
    return api::is_deleting(before) != api::is_deleting(now) || is_ready(before) != is_ready(now) ||
           is_finished(before) != is_finished(now) || !same("metadata", "labels") || !same("metadata", "uid") ||
           !same("status", "podIPs") || !same("status", "podIP") || !same("spec", "nodeName");
  }

  void changed(const ObjectKey& service) {
    triggered_.try_emplace(service, wall());
    queue_.add(service);
  }
  // When the change happened that is about to be published; a later one starts anew.
  std::string take_trigger(const ObjectKey& service) {
    auto node = triggered_.extract(service);
    return node.empty() ? std::string() : rfc3339_nano(node.mapped());
  }
  std::vector<ObjectPtr> pods_of(const Json& service) const {
    std::vector<ObjectPtr> out;
    for (ObjectPtr& pod : pods_.in_namespace(api::namespace_of(service)))
      if (selects(service, *pod)) out.push_back(std::move(pod));
    return out;
  }

  client::Informer& services_;
  client::Informer& pods_;

 private:
  std::map<ObjectKey, WallTime> triggered_;
};

class EndpointsOfServices final : public ServiceFollower {
 public:
  explicit EndpointsOfServices(Context context) : ServiceFollower(context, "endpoints"), endpoints_(informer(kEndpoints)) {
    endpoints_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr&) { queue_.add(key); });
  }

 private:
  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr service = services_.get(key), existing = endpoints_.get(key);
    std::string trigger = take_trigger(key);
    if (service == nullptr) co_return co_await remove_left_over(key, existing);
    if (!has_selector(*service) || api::is_deleting(*service)) co_return Next::done();
    auto wanted = plan_endpoints(*service, pods_of(*service), existing, trigger);
    if (!wanted) co_return Next::done();
    auto written = existing == nullptr ? co_await client().create(kEndpoints, std::move(*wanted))
                                       : co_await client().update(kEndpoints, std::move(*wanted));
    if (written || is_namespace_terminating(written.error())) co_return Next::done();
    // Created meanwhile, or the view is old: the next event brings it up to date.
    if (written.error().code == Code::kAlreadyExists) co_return fail(Code::kConflict, "{}", written.error().message);
    co_return fail(written.error());
  }

  // The Endpoints of a service that is gone. Leader election of old clients keeps Endpoints without a service: those stay.
  awaitable<Result<Next>> remove_left_over(ObjectKey key, ObjectPtr existing) {
    if (existing == nullptr || api::annotation(*existing, kTriggerTime).empty()) co_return Next::done();
    client::DeleteOptions options;
    options.precondition_uid = api::uid_of(*existing);
    auto removed = co_await client().remove(kEndpoints, key, std::move(options));
    if (!removed && removed.error().code != Code::kNotFound) co_return fail(removed.error());
    co_return Next::done();
  }

  client::Informer& endpoints_;
};

// The writes of a plan. A slice that vanished meanwhile is no error: the informer will say so.
awaitable<Result<void>> carry_out(client::Client& client, SliceWrites writes) {
  for (Json& slice : writes.create) {
    auto created = co_await client.create(kEndpointSlices, std::move(slice));
    if (!created && !is_namespace_terminating(created.error())) co_return fail(created.error());
  }
  for (Json& slice : writes.update) {
    auto updated = co_await client.update(kEndpointSlices, std::move(slice));
    if (!updated && updated.error().code != Code::kNotFound) co_return fail(updated.error());
  }
  for (const ObjectPtr& slice : writes.remove) {
    auto removed = co_await client.remove(kEndpointSlices, api::key_of(*slice));
    if (!removed && removed.error().code != Code::kNotFound) co_return fail(removed.error());
  }
  co_return Result<void>();
}

// Slices that were written and are not yet seen in the informer (endpointslice_tracker): planning on an older view would
// create the same slices again.
class SliceTracker {
 public:
  void wrote(const ObjectKey& service, const SliceWrites& writes, MonoTime now) {
    if (!writes.create.empty()) pending_[service] = {writes.create.size(), now};
  }
  void seen_new(const ObjectKey& service) {
    auto it = pending_.find(service);
    if (it != pending_.end() && --it->second.first == 0) pending_.erase(it);
  }
  void forget(const ObjectKey& service) { pending_.erase(service); }
  bool is_current(const ObjectKey& service, MonoTime now) const {
    auto it = pending_.find(service);
    return it == pending_.end() || now - it->second.second > std::chrono::minutes(1);
  }

 private:
  std::map<ObjectKey, std::pair<size_t, MonoTime>> pending_;
};

ObjectKey service_of(const Json& slice) {
  return {std::string(api::namespace_of(slice)), std::string(api::label(slice, kServiceName))};
}

constexpr std::string_view kAnyManager = "*";

void add_service_index(client::Informer& slices) {
  slices.add_index("service", [](const Json& slice) {
    std::vector<std::string> out;
    if (api::label(slice, kServiceName).empty()) return out;
    out.push_back(fmt::format("{} {}", api::label(slice, kManagedBy), api::to_string(service_of(slice))));
    out.push_back(fmt::format("{} {}", kAnyManager, api::to_string(service_of(slice))));
    return out;
  });
}

std::vector<ObjectPtr> slices_of(const client::Informer& slices, std::string_view manager, const ObjectKey& service) {
  return slices.by_index("service", fmt::format("{} {}", manager, api::to_string(service)));
}

class SlicesOfServices final : public ServiceFollower {
 public:
  explicit SlicesOfServices(Context context)
      : ServiceFollower(context, "endpointslice"), slices_(informer(kEndpointSlices)), nodes_(informer(kNodes)) {
    add_service_index(slices_);
    slices_.on_change([this](const ObjectKey&, const ObjectPtr& before, const ObjectPtr& now) {
      const Json& slice = now == nullptr ? *before : *now;
      if (api::label(slice, kManagedBy) != kSliceController) return;
      if (before == nullptr) tracker_.seen_new(service_of(slice));
      queue_.add(service_of(slice));
    });
  }

 private:
  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr service = services_.get(key);
    if (service == nullptr) tracker_.forget(key);  // its slices go by garbage collection
    if (service == nullptr || !has_selector(*service) || api::is_deleting(*service)) co_return Next::done();
    if (!tracker_.is_current(key, loop().now())) co_return Next::after(std::chrono::seconds(1));
    auto zone_of = [this](std::string_view node) {
      ObjectPtr found = nodes_.get("", node);
      return found == nullptr ? std::string() : std::string(api::label(*found, "topology.kubernetes.io/zone"));
    };
    SliceWrites writes = plan_endpoint_slices(*service, pods_of(*service), slices_of(slices_, kSliceController, key), zone_of,
                                              take_trigger(key));
    tracker_.wrote(key, writes, loop().now());
    auto written = co_await carry_out(client(), std::move(writes));
    if (!written) {
      tracker_.forget(key);
      co_return fail(written.error());
    }
    co_return Next::done();
  }

  client::Informer& slices_;
  client::Informer& nodes_;
  SliceTracker tracker_;
};

class MirroredSlices final : public Controller {
 public:
  explicit MirroredSlices(Context context)
      : Controller(context, "endpointslicemirroring", 1),
        services_(informer(kServices)),
        endpoints_(informer(kEndpoints)),
        slices_(informer(kEndpointSlices)) {
    add_service_index(slices_);
    services_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr&) { queue_.add(key); });
    endpoints_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr&) { queue_.add(key); });
    slices_.on_change([this](const ObjectKey&, const ObjectPtr& before, const ObjectPtr& now) {
      const Json& slice = now == nullptr ? *before : *now;
      if (api::label(slice, kManagedBy) != kMirrorController) return;
      if (before == nullptr) tracker_.seen_new(service_of(slice));
      queue_.add(service_of(slice));
    });
  }

 private:
  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr service = services_.get(key), endpoints = endpoints_.get(key);
    SliceWrites writes;
    std::vector<ObjectPtr> existing = slices_of(slices_, kMirrorController, key);
    bool mirrors = service != nullptr && endpoints != nullptr && !has_selector(*service) &&
                   str(*service, "spec", "type") != "ExternalName" &&
                   api::label(*endpoints, "endpointslice.kubernetes.io/skip-mirror") != "true" &&
                   api::annotation(*endpoints, "control-plane.alpha.kubernetes.io/leader").empty();
    // Whoever writes slices of that service himself (the API server for its own) needs no mirror.
    if (slices_of(slices_, kAnyManager, key).size() > existing.size()) mirrors = false;
    if (!tracker_.is_current(key, loop().now())) co_return Next::after(std::chrono::seconds(1));
    if (mirrors) writes = plan_mirrored_slices(*endpoints, *service, existing, {});
    else writes.remove = std::move(existing);
    tracker_.wrote(key, writes, loop().now());
    auto written = co_await carry_out(client(), std::move(writes));
    if (!written) {
      tracker_.forget(key);
      co_return fail(written.error());
    }
    co_return Next::done();
  }

  client::Informer& services_;
  client::Informer& endpoints_;
  client::Informer& slices_;
  SliceTracker tracker_;
};

}  // namespace

std::unique_ptr<Controller> endpoints_controller(Context context) { return std::make_unique<EndpointsOfServices>(context); }
std::unique_ptr<Controller> endpoint_slice_controller(Context context) { return std::make_unique<SlicesOfServices>(context); }
std::unique_ptr<Controller> endpoint_slice_mirroring_controller(Context context) {
  return std::make_unique<MirroredSlices>(context);
}

}  // namespace rs::control
