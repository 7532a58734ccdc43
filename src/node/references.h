// References: the ConfigMaps and Secrets that this node's pods use, each watched alone (as the kubelet does: a node must
// not read every secret of the cluster), from a pod's first need until its end.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "client/informer.h"
#include "node/environment.h"

namespace rs::node {

template <class T>
using awaitable = async::awaitable<T>;

class ReferenceCache {
 public:
  explicit ReferenceCache(client::Client& client);
  ~ReferenceCache();
  awaitable<void> stop();
  // changed: called with the uids of the pods that use an object that has changed.
  void on_change(std::function<void(const std::set<std::string>& uids)> handler) { changed_ = std::move(handler); }
  // Resolves when all that the pod refers to has been looked up (there or not). kTimeout, kUnavailable.
  awaitable<Result<void>> hold(std::string uid, std::string ns, References references);
  void release(const std::string& uid);
  Lookup config_maps(const std::string& ns) const;
  Lookup secrets(const std::string& ns) const;

 private:
  struct Key {
    bool secret;
    std::string ns, name;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Entry {
    std::unique_ptr<client::Informer> informer;
    std::set<std::string> users;
  };
  Lookup lookup(bool secret, const std::string& ns) const;
  static awaitable<void> end(std::shared_ptr<client::Informer> informer);
  client::Client& client_;
  std::map<Key, Entry> entries_;
  std::function<void(const std::set<std::string>&)> changed_;
  async::TaskGroup tasks_;
};

}  // namespace rs::node
