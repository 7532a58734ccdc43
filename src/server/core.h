// What the parts of one API server share. Owned by ApiServer; one loop.
#pragma once

#include <map>

#include "client/node_api.h"
#include "server/options.h"
#include "server/status.h"
#include "server/user_info.h"
#include "server/watch_cache.h"

namespace rs::server {

struct Core {
  Core(async::Loop& l, store::Store& s, const api::KindTable& k, ApiServerOptions o)
      : loop(l), store(s), kinds(k), options(std::move(o)), cache(l, s) {}
  async::Loop& loop;
  store::Store& store;
  const api::KindTable& kinds;
  ApiServerOptions options;
  WatchCache cache;
  std::map<std::string, client::NodeApi*, std::less<>> nodes;

  // The cached objects of a built-in kind, whatever its version; null when it is not served.
  std::shared_ptr<ResourceCache> resource(std::string_view group, std::string_view plural) const;
  ObjectPtr find(std::string_view group, std::string_view plural, std::string_view ns, std::string_view name) const;
};

}  // namespace rs::server
