#include "control/controllers/service_accounts.h"

namespace rs::control {
namespace {

using client::resources::kConfigMaps;
using client::resources::kNamespaces;
using client::resources::kServiceAccounts;

constexpr std::string_view kDefaultAccount = "default";
constexpr std::string_view kRootCa = "kube-root-ca.crt";

class ServiceAccounts final : public Controller {
 public:
  ServiceAccounts(Context context, std::string root_ca)
      : Controller(context, "serviceaccount"),
        root_ca_(std::move(root_ca)),
        namespaces_(informer(kNamespaces)),
        accounts_(informer(kServiceAccounts)),
        config_maps_(informer(kConfigMaps)) {
    namespaces_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr&) { queue_.add(key); });
    accounts_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr& now) {
      if (now == nullptr && key.name == kDefaultAccount) queue_.add({"", key.ns});
    });
    config_maps_.on_change([this](const ObjectKey& key, const ObjectPtr&, const ObjectPtr&) {
      if (key.name == kRootCa) queue_.add({"", key.ns});
    });
  }

 private:
  awaitable<Result<Next>> reconcile(ObjectKey key) override {
    ObjectPtr ns = namespaces_.get(key);
    if (ns == nullptr || api::is_deleting(*ns)) co_return Next::done();
    if (accounts_.get(key.name, kDefaultAccount) == nullptr) {
      auto created = co_await create(kServiceAccounts, key.name, kDefaultAccount, JsonObject());
      if (!created) co_return fail(created.error());
    }
    if (root_ca_.empty()) co_return Next::done();
    JsonObject data{{"ca.crt", root_ca_}};
    ObjectPtr published = config_maps_.get(key.name, kRootCa);
    if (published == nullptr) {
      auto created = co_await create(
          kConfigMaps, key.name, kRootCa,
          JsonObject{{"data", std::move(data)},
                     {"annotations", JsonObject{{"kubernetes.io/description",
                       "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as "
                       "the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of "
                       "Kubernetes clusters."}}}});
      if (!created) co_return fail(created.error());
    } else if (object(*published, "data") != data) {
      Json updated = *published;
      set(updated, std::move(data), "data");
      auto written = co_await client().update(kConfigMaps, std::move(updated));
      if (!written && written.error().code != Code::kNotFound) co_return fail(written.error());
    }
    co_return Next::done();
  }

  awaitable<Result<void>> create(client::Resource resource, std::string ns, std::string_view name, JsonObject content) {
    Json made = JsonObject{{"apiVersion", "v1"}, {"kind", resource.kind}};
    set(made, Json(name), "metadata", "name");
    set(made, Json(ns), "metadata", "namespace");
    if (content.contains("annotations")) set(made, content.at("annotations"), "metadata", "annotations");
    if (content.contains("data")) set(made, content.at("data"), "data");
    auto created = co_await client().create(resource, std::move(made));
    if (created || created.error().code == Code::kAlreadyExists || is_namespace_terminating(created.error()))
      co_return Result<void>();
    co_return fail(created.error());
  }

  std::string root_ca_;
  client::Informer& namespaces_;
  client::Informer& accounts_;
  client::Informer& config_maps_;
};

}  // namespace

std::unique_ptr<Controller> service_account_controller(Context context, std::string root_ca) {
  return std::make_unique<ServiceAccounts>(context, std::move(root_ca));
}

}  // namespace rs::control
