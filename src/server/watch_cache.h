// WatchCache: every object of every served kind in memory, as the bytes that clients read, kept current by one watch on
// the store; with a ring of recent events per resource. Lists and watches read from here and never touch the disk.
//
// One loop. Promises: events of one resource are in revision order without gaps or repeats; revision() is reached by all
// resources together (whole transactions at once). A follower that falls out of the ring is told so (kExpired), it is
// never given a gap. Source: apiserver pkg/storage/cacher, KEP-2340 (consistent reads from cache).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>

#include "api/kind.h"
#include "async/event.h"
#include "async/task_group.h"
#include "store/store.h"

namespace rs::server {

template <class T>
using awaitable = async::awaitable<T>;
using Bytes = std::shared_ptr<const std::string>;

// The keys of a resource: /registry/[<group>/]<plural>/[<namespace>/]<name>; the group is the one it is stored as.
std::string storage_prefix(const api::Kind& kind);
std::string storage_key(const api::Kind& kind, std::string_view ns, std::string_view name);

struct CachedObject {
  std::string key;          // "ns/name" or "name": the storage key behind the prefix
  int64_t revision = 0;     // of the last write, or of the deletion
  Bytes bytes;              // served JSON, with resourceVersion
  Json index;               // what selectors look at: metadata.{name,namespace,labels} and the kind's selectable fields

  std::string_view ns() const;
  std::string_view name() const;
  Json tree() const;        // parsed anew; with resourceVersion
};
using ObjectPtr = std::shared_ptr<const CachedObject>;
// Bytes for the store: encoded (the canonical form of object), or as the kind that the storage is shared with (events of events.k8s.io are stored as v1).
std::string encode_stored(const api::Kind& kind, const Json& object, const std::string& encoded);
// Null when the value is no object of the kind (that one is then left out, and logged).
ObjectPtr make_cached(const api::Kind& kind, std::string key, std::string_view stored, int64_t revision);
// The same object with another resourceVersion (the last state of a deleted one).
ObjectPtr with_revision(const CachedObject& object, int64_t revision);

enum class EventType { kAdded, kModified, kDeleted };
struct CacheEvent {
  EventType type;
  ObjectPtr object;         // of a deletion: the last state, with the deletion's revision
  ObjectPtr before;         // null for kAdded
  int64_t revision() const { return object->revision; }
  // The line of a JSON watch; made once, shared by all watchers.
  Bytes frame(EventType shown) const;

 private:
  mutable Bytes frames_[3];
};
Bytes encode_frame(std::string_view type, std::string_view object);

// Woken when its resource changed or its deadline has passed. Registered as long as it lives.
class ResourceCache;
class Follower {
 public:
  Follower(async::Loop& loop, std::shared_ptr<ResourceCache> cache);
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  // The next event; null when the deadline passes first; kExpired when the ring has moved past it.
  awaitable<Result<std::shared_ptr<const CacheEvent>>> next(MonoTime deadline);
  void start_after(uint64_t sequence) { next_ = sequence + 1; }
  bool ended = false;       // the server stops

 private:
  friend class ResourceCache;
  friend class WatchCache;
  async::Loop& loop_;
  std::shared_ptr<ResourceCache> cache_;
  async::Event wake_;
  MonoTime deadline_{};
  uint64_t next_ = 0;
};

class ResourceCache {
 public:
  static constexpr size_t kHistoryEvents = 10'000;
  static constexpr size_t kHistoryBytes = 24 << 20;

  explicit ResourceCache(std::shared_ptr<const api::Kind> kind) : kind_(std::move(kind)) {}
  const api::Kind& kind() const { return *kind_; }
  const std::map<std::string, ObjectPtr, std::less<>>& objects() const { return objects_; }
  ObjectPtr get(std::string_view ns, std::string_view name) const;
  ObjectPtr get(const std::string& key) const;

  uint64_t last_sequence() const { return first_sequence_ + ring_.size() - 1; }
  // The sequence after which every event newer than revision follows; kExpired when the ring no longer reaches so far.
  Result<uint64_t> sequence_after(int64_t revision) const;
  size_t followers() const { return followers_.size(); }

 private:
  friend class WatchCache;
  friend class Follower;
  void put(std::string key, std::string_view stored, int64_t revision);
  void remove(const std::string& key, int64_t revision);
  void replace(const std::vector<store::KeyValue>& kvs, size_t prefix_size, int64_t revision);
  void append(EventType type, ObjectPtr object, ObjectPtr before);
  void wake_all();

  std::shared_ptr<const api::Kind> kind_;
  std::map<std::string, ObjectPtr, std::less<>> objects_;
  std::deque<std::shared_ptr<const CacheEvent>> ring_;
  size_t ring_bytes_ = 0;
  uint64_t first_sequence_ = 1;     // of ring_.front()
  int64_t oldest_ = 0;              // events newer than this revision are in the ring
  std::set<Follower*> followers_;
  bool changed_ = false;
};

class WatchCache {
 public:
  WatchCache(async::Loop& loop, store::Store& store);
  ~WatchCache();
  // Loads everything and follows. kUnavailable when the store does not answer.
  awaitable<Result<void>> start(const api::KindTable& kinds);
  awaitable<void> stop();           // ends all followers

  std::shared_ptr<ResourceCache> of(const api::Kind& kind) const;   // null: not stored
  const std::vector<std::shared_ptr<ResourceCache>>& all() const { return caches_; }
  int64_t revision() const { return revision_; }
  Duration age() const { return loop_.now() - proven_; }            // since the last proof that it is current

  // A write of ours was acknowledged at this revision: consistent reads wait until it is here.
  void committed(int64_t revision) { committed_ = std::max(committed_, revision); }
  awaitable<Result<void>> wait_consistent();
  // kTimeout `Too large resource version` when it is not reached within limit.
  awaitable<Result<void>> wait_for(int64_t revision, Duration limit);

 private:
  awaitable<void> run();
  awaitable<void> tick();
  awaitable<Result<void>> load();
  awaitable<Result<void>> follow();
  void apply(const store::WatchBatch& batch);
  const std::vector<std::shared_ptr<ResourceCache>>* by_key(std::string_view key, size_t& prefix_size) const;

  async::Loop& loop_;
  store::Store& store_;
  // Two kinds that share a storage are two views of one prefix.
  std::map<std::string, std::vector<std::shared_ptr<ResourceCache>>, std::less<>> by_prefix_;
  std::vector<std::shared_ptr<ResourceCache>> caches_;
  int64_t revision_ = 0, committed_ = 0;
  MonoTime proven_{};
  size_t waiters_ = 0;
  bool stopping_ = false;
  async::Event reached_;
  async::TaskGroup tasks_;
};

}  // namespace rs::server
