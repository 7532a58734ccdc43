#include "node/references.h"

namespace rs::node {
namespace {
constexpr Duration kLookupLimit = std::chrono::seconds(10);
}

ReferenceCache::ReferenceCache(client::Client& client) : client_(client), tasks_(client.loop()) {}
ReferenceCache::~ReferenceCache() = default;

awaitable<void> ReferenceCache::stop() {
  for (auto& [key, entry] : entries_) co_await entry.informer->stop();
  co_await tasks_.join();
  entries_.clear();
}

awaitable<Result<void>> ReferenceCache::hold(std::string uid, std::string ns, References references) {
  std::vector<Key> keys;
  for (std::string& name : references.config_maps) keys.push_back({false, ns, std::move(name)});
  for (std::string& name : references.secrets) keys.push_back({true, ns, std::move(name)});
  for (const Key& key : keys) {
    Entry& entry = entries_[key];
    entry.users.insert(uid);
    if (entry.informer) continue;
    client::ListOptions only;
    only.ns = ns;
    only.field_selector = "metadata.name=" + key.name;
    const auto& resource = key.secret ? client::resources::kSecrets : client::resources::kConfigMaps;
    entry.informer = std::make_unique<client::Informer>(client_, resource, only);
    entry.informer->on_change([this, key](const auto&, const auto&, const auto&) {
      auto it = entries_.find(key);
      if (it != entries_.end() && changed_) changed_(it->second.users);
    });
    entry.informer->start();
  }
  for (const Key& key : keys) {
    auto it = entries_.find(key);
    if (it == entries_.end()) co_return fail(Code::kCancelled, "the pod has ended");
    auto synced = co_await it->second.informer->wait_synced(kLookupLimit);
    if (!synced) co_return fail_at(fmt::format("{} \"{}\"", key.secret ? "secret" : "configmap", key.name), synced.error());
  }
  co_return Result<void>();
}

awaitable<void> ReferenceCache::end(std::shared_ptr<client::Informer> informer) { co_await informer->stop(); }

void ReferenceCache::release(const std::string& uid) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    it->second.users.erase(uid);
    if (!it->second.users.empty()) {
      ++it;
      continue;
    }
    tasks_.spawn("forget", end(std::shared_ptr<client::Informer>(std::move(it->second.informer))));
    it = entries_.erase(it);
  }
}

Lookup ReferenceCache::lookup(bool secret, const std::string& ns) const {
  return [this, secret, ns](std::string_view name) -> const Json* {
    auto it = entries_.find(Key{secret, ns, std::string(name)});
    if (it == entries_.end()) return nullptr;
    auto object = it->second.informer->get(ns, name);
    return object.get();  // kept by the informer until its next event, which this loop runs later
  };
}
Lookup ReferenceCache::config_maps(const std::string& ns) const { return lookup(false, ns); }
Lookup ReferenceCache::secrets(const std::string& ns) const { return lookup(true, ns); }

}  // namespace rs::node
