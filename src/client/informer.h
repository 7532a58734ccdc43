// Informer: a local copy of one resource, kept current by list and watch (client-go tools/cache SharedInformer).
//
// What is promised: after sync, every change is seen in order of resourceVersion, and handlers are called once for each
// change of each key, on the loop, with the key only (level-based: read the state from the informer). A stream that
// carries no progress mark for kSilenceLimit is broken: it is ended and resumed. A 410 leads to a new list; objects that
// vanished meanwhile are reported. The copy is kept while the server is away (last known good).
#pragma once

#include <functional>
#include <map>
#include <set>

#include "async/event.h"
#include "async/task_group.h"
#include "client/client.h"

namespace rs::client {

using ObjectPtr = std::shared_ptr<const Json>;

struct Freshness {
  int64_t revision = 0;     // the store revision this copy has reached
  Duration age{};           // since the last proof that it is current
  bool synced = false;      // the first list is complete
};

class Informer {
 public:
  static constexpr Duration kSilenceLimit = std::chrono::seconds(15);

  Informer(Client& client, Resource resource, ListOptions selector = {});
  ~Informer();
  void start();                               // once; runs until stop()
  awaitable<void> stop();
  awaitable<Result<void>> wait_synced(Duration timeout);

  using Handler = std::function<void(const api::ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now)>;
  // now null: deleted; before null: new. Handlers must be quick: put a key on a queue. Register before start().
  void on_change(Handler handler);

  ObjectPtr get(const api::ObjectKey& key) const;       // null: not there
  ObjectPtr get(std::string_view ns, std::string_view name) const;
  const std::map<api::ObjectKey, ObjectPtr>& objects() const { return objects_; }
  std::vector<ObjectPtr> in_namespace(std::string_view ns) const;
  // Objects by an index: keys computed once per change. Register before start().
  using IndexFunction = std::function<std::vector<std::string>(const Json& object)>;
  void add_index(std::string name, IndexFunction function);
  std::vector<ObjectPtr> by_index(std::string_view name, std::string_view value) const;
  // Owner uid index, always there: objects whose metadata.ownerReferences name uid.
  std::vector<ObjectPtr> owned_by(std::string_view uid) const;

  Freshness freshness() const;
  const Resource& resource() const { return resource_; }

 private:
  struct Index {
    IndexFunction function;
    std::map<std::string, std::set<api::ObjectKey>, std::less<>> keys;
  };
  awaitable<void> run();
  awaitable<Result<void>> list_and_replace();
  awaitable<Result<void>> follow();
  void apply(const api::ObjectKey& key, ObjectPtr now);
  void reindex(const api::ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now);

  Client& client_;
  Resource resource_;
  ListOptions selector_;
  std::map<api::ObjectKey, ObjectPtr> objects_;
  std::map<std::string, Index, std::less<>> indexes_;
  std::vector<Handler> handlers_;
  int64_t revision_ = 0;
  MonoTime proven_{};
  bool synced_ = false;
  async::Event changed_;
  async::TaskGroup tasks_;
};

// The informers that several controllers share: one per resource, started together. Owner: main.
class Informers {
 public:
  explicit Informers(Client& client) : client_(client) {}
  Informer& of(const Resource& resource);   // made on first use; same one afterwards
  void start();                             // starts those made so far and, at once, those made later
  awaitable<void> stop();
  awaitable<Result<void>> wait_synced(Duration timeout);
  std::vector<const Informer*> all() const;

 private:
  Client& client_;
  std::map<std::string, std::unique_ptr<Informer>> informers_;
  bool started_ = false;
};

}  // namespace rs::client
