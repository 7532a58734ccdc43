#include "server/watch_cache.h"

#include "api/codec.h"
#include "async/backoff.h"
#include "base/log.h"

namespace rs::server {
using namespace std::chrono_literals;
namespace {
constexpr std::string_view kRoot = "/registry/";
constexpr Duration kTick = 500ms;
constexpr Duration kConsistentReadLimit = 10s;

// Where a consistent read or a resourceVersion in the future waits.
struct Count {
  size_t& value;
  explicit Count(size_t& v) : value(v) { ++value; }
  ~Count() { --value; }
};

void copy_path(const Json& from, Json& to, std::string_view path) {
  const Json* source = &from;
  Json* target = &to;
  while (true) {
    size_t dot = path.find('.');
    std::string_view name = path.substr(0, dot);
    if (!source->is_object()) return;
    source = source->get_object().if_contains(name);
    if (source == nullptr || source->is_null()) return;
    target = &detail::ensure_member(*target, name);
    if (dot == std::string_view::npos) break;
    path.remove_prefix(dot + 1);
  }
  *target = *source;
}

// The kind whose form the store has; null: this one's own.
const api::Kind* stored_kind(const api::Kind& kind) {
  std::string_view stored = kind.stored_group_version;
  if (stored.empty()) return nullptr;
  size_t slash = stored.find('/');
  std::string_view group = slash == std::string_view::npos ? std::string_view() : stored.substr(0, slash);
  return api::known_kinds().by_kind(group, stored.substr(slash == std::string_view::npos ? 0 : slash + 1), kind.kind);
}

Json index_of(const api::Kind& kind, const Json& object) {
  Json index = JsonObject();
  for (std::string_view path : {"metadata.name", "metadata.namespace", "metadata.labels"}) copy_path(object, index, path);
  for (const std::string& path : kind.selectable_fields) copy_path(object, index, path);
  // events: the selector `source` reads source.component, and reportingComponent falls back to it.
  if (kind.plural == "events") copy_path(object, index, "source");
  return index;
}
}  // namespace

std::string storage_prefix(const api::Kind& kind) {
  std::string prefix(kRoot);
  std::string_view stored = kind.stored_group_version;
  std::string_view group = stored.empty() ? kind.group : stored.substr(0, stored.find('/'));
  if (stored == "v1") group = {};
  if (!group.empty()) (prefix += group) += "/";
  return prefix + kind.plural + "/";
}

std::string storage_key(const api::Kind& kind, std::string_view ns, std::string_view name) {
  std::string key = storage_prefix(kind);
  if (kind.namespaced) (key += ns) += '/';
  return key += name;
}

std::string_view CachedObject::ns() const {
  size_t slash = key.find('/');
  return slash == std::string::npos ? std::string_view() : std::string_view(key).substr(0, slash);
}
std::string_view CachedObject::name() const {
  size_t slash = key.find('/');
  return slash == std::string::npos ? std::string_view(key) : std::string_view(key).substr(slash + 1);
}
Json CachedObject::tree() const {
  auto parsed = parse_json(*bytes);
  return parsed ? std::move(*parsed) : Json(JsonObject());
}

ObjectPtr make_cached(const api::Kind& kind, std::string key, std::string_view stored, int64_t revision) {
  auto tree = parse_json(stored);
  if (!tree || !tree->is_object()) {
    log::error("server", "a stored object cannot be read and is left out", {{"kind", kind.kind}, {"key", key}});
    return nullptr;
  }
  if (const api::Kind* form = stored_kind(kind)) *tree = api::convert_stored(*form, kind, std::move(*tree));
  auto object = std::make_shared<CachedObject>();
  object->index = index_of(kind, *tree);
  object->key = std::move(key);
  object->revision = revision;
  std::string start =
      fmt::format(R"({{"apiVersion":"{}","kind":"{}","metadata":{{)", kind.group_version(), kind.kind);
  if (stored.starts_with(start) && !stored.substr(start.size()).starts_with(R"("resourceVersion")")) {
    object->bytes = std::make_shared<const std::string>(api::with_resource_version(stored, revision));
  } else {
    set(*tree, Json(kind.group_version()), "apiVersion");
    set(*tree, Json(kind.kind), "kind");
    object->bytes =
        std::make_shared<const std::string>(api::with_resource_version(api::encode_canonical(*tree), revision));
  }
  return object;
}

std::string encode_stored(const api::Kind& kind, const Json& object, const std::string& encoded) {
  const api::Kind* form = stored_kind(kind);
  return form == nullptr ? encoded : api::encode_canonical(api::convert_stored(kind, *form, object));
}

ObjectPtr with_revision(const CachedObject& object, int64_t revision) {
  constexpr std::string_view kMember = R"("metadata":{"resourceVersion":")";
  auto copy = std::make_shared<CachedObject>(object);
  copy->revision = revision;
  const std::string& old = *object.bytes;
  size_t begin = old.find(kMember);
  if (begin == std::string::npos) return copy;
  begin += kMember.size();
  size_t end = old.find('"', begin);
  copy->bytes = std::make_shared<const std::string>(
      fmt::format("{}{}{}", std::string_view(old).substr(0, begin), revision, std::string_view(old).substr(end)));
  return copy;
}

Bytes encode_frame(std::string_view type, std::string_view object) {
  auto frame = std::make_shared<std::string>();
  frame->reserve(type.size() + object.size() + 24);
  (((((*frame) += R"({"type":")") += type) += R"(","object":)") += object) += "}\n";
  return frame;
}

Bytes CacheEvent::frame(EventType shown) const {
  Bytes& frame = frames_[size_t(shown)];
  if (frame == nullptr) {
    static constexpr std::string_view kNames[] = {"ADDED", "MODIFIED", "DELETED"};
    // A change that leaves a selector shows the state it had inside, at the revision of the change.
    if (shown == EventType::kDeleted && type != EventType::kDeleted && before != nullptr)
      frame = encode_frame("DELETED", *with_revision(*before, revision())->bytes);
    else
      frame = encode_frame(kNames[size_t(shown)], *object->bytes);
  }
  return frame;
}

Follower::Follower(async::Loop& loop, std::shared_ptr<ResourceCache> cache)
    : loop_(loop), cache_(std::move(cache)), wake_(loop), next_(cache_->last_sequence() + 1) {
  cache_->followers_.insert(this);
}
Follower::~Follower() { cache_->followers_.erase(this); }

awaitable<Result<std::shared_ptr<const CacheEvent>>> Follower::next(MonoTime deadline) {
  deadline_ = deadline;
  while (true) {
    if (next_ < cache_->first_sequence_) co_return fail(Code::kExpired, "too old resource version: the watcher is too slow");
    if (next_ <= cache_->last_sequence()) co_return cache_->ring_[next_++ - cache_->first_sequence_];
    if (ended || loop_.now() >= deadline) co_return nullptr;
    co_await wake_.wait();
  }
}

ObjectPtr ResourceCache::get(std::string_view ns, std::string_view name) const {
  return get(kind_->namespaced ? fmt::format("{}/{}", ns, name) : std::string(name));
}
ObjectPtr ResourceCache::get(const std::string& key) const {
  auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : it->second;
}

Result<uint64_t> ResourceCache::sequence_after(int64_t revision) const {
  if (revision < oldest_) return fail(Code::kExpired, "too old resource version: {} ({})", revision, oldest_);
  auto it = std::partition_point(ring_.begin(), ring_.end(),
                                 [&](const auto& event) { return event->revision() <= revision; });
  return first_sequence_ + uint64_t(it - ring_.begin()) - 1;
}

void ResourceCache::append(EventType type, ObjectPtr object, ObjectPtr before) {
  auto event = std::make_shared<CacheEvent>();
  event->type = type;
  event->object = std::move(object);
  event->before = std::move(before);
  ring_bytes_ += event->object->bytes->size();
  ring_.push_back(std::move(event));
  while (ring_.size() > kHistoryEvents || (ring_bytes_ > kHistoryBytes && ring_.size() > 1)) {
    oldest_ = ring_.front()->revision();
    ring_bytes_ -= ring_.front()->object->bytes->size();
    ring_.pop_front();
    ++first_sequence_;
  }
  changed_ = true;
}

void ResourceCache::put(std::string key, std::string_view stored, int64_t revision) {
  ObjectPtr now = make_cached(*kind_, key, stored, revision);
  if (now == nullptr) return remove(key, revision);
  ObjectPtr& slot = objects_[std::move(key)];
  ObjectPtr before = std::exchange(slot, now);
  EventType type = before == nullptr ? EventType::kAdded : EventType::kModified;
  append(type, std::move(now), std::move(before));
}

void ResourceCache::remove(const std::string& key, int64_t revision) {
  auto it = objects_.find(key);
  if (it == objects_.end()) return;
  ObjectPtr before = std::move(it->second);
  objects_.erase(it);
  ObjectPtr last = with_revision(*before, revision);
  append(EventType::kDeleted, std::move(last), std::move(before));
}

void ResourceCache::replace(const std::vector<store::KeyValue>& kvs, size_t prefix_size, int64_t revision) {
  objects_.clear();
  for (const auto& kv : kvs) {
    std::string key = kv.key.substr(prefix_size);
    if (ObjectPtr object = make_cached(*kind_, key, kv.value, kv.mod_revision)) objects_[key] = std::move(object);
  }
  // What happened between is not known one by one: followers must list again.
  first_sequence_ += ring_.size() + 1;
  ring_.clear();
  ring_bytes_ = 0;
  oldest_ = revision;
  changed_ = true;
}

void ResourceCache::wake_all() {
  for (Follower* follower : followers_) follower->wake_.notify();
  changed_ = false;
}

WatchCache::WatchCache(async::Loop& loop, store::Store& store)
    : loop_(loop), store_(store), reached_(loop), tasks_(loop) {}
WatchCache::~WatchCache() = default;

awaitable<Result<void>> WatchCache::start(const api::KindTable& kinds) {
  for (const auto& kind : kinds.all()) {
    if (!kind->stored) continue;
    caches_.push_back(std::make_shared<ResourceCache>(kind));
    by_prefix_[storage_prefix(*kind)].push_back(caches_.back());
  }
  if (auto loaded = co_await load(); !loaded) co_return loaded;
  tasks_.spawn("watch cache", run());
  tasks_.spawn("watch cache ticks", tick());
  co_return Result<void>();
}

awaitable<void> WatchCache::stop() {
  stopping_ = true;
  for (auto& cache : caches_) {
    for (Follower* follower : cache->followers_) follower->ended = true;
    cache->wake_all();
  }
  reached_.notify();
  co_await tasks_.stop();
}

std::shared_ptr<ResourceCache> WatchCache::of(const api::Kind& kind) const {
  auto it = by_prefix_.find(storage_prefix(kind));
  if (it == by_prefix_.end()) return nullptr;
  for (const auto& cache : it->second)
    if (cache->kind().group == kind.group && cache->kind().version == kind.version) return cache;
  return nullptr;
}

awaitable<Result<void>> WatchCache::load() {
  // One snapshot for all resources: everything is read at the revision of the first answer.
  int64_t revision = 0;
  std::vector<std::pair<std::string, std::vector<store::KeyValue>>> loaded;
  for (auto& [prefix, caches] : by_prefix_) {
    store::RangeRequest request;
    request.key = prefix;
    request.range_end = store::prefix_end(prefix);
    request.revision = revision;
    auto range = co_await store_.range(std::move(request));
    if (!range) co_return fail_at("loading the watch cache", range.error());
    if (revision == 0) revision = range->revision;
    loaded.emplace_back(prefix, std::move(range->kvs));
  }
  for (auto& [prefix, kvs] : loaded) {
    for (auto& cache : by_prefix_[prefix]) {
      cache->replace(kvs, prefix.size(), revision);
      cache->wake_all();
    }
  }
  revision_ = revision;
  proven_ = loop_.now();
  reached_.notify();
  co_return Result<void>();
}

awaitable<Result<void>> WatchCache::follow() {
  store::WatchRequest request;
  request.key = kRoot;
  request.range_end = store::prefix_end(kRoot);
  request.start_revision = revision_ + 1;
  auto watcher = co_await store_.watch(std::move(request));
  if (!watcher) co_return std::unexpected(watcher.error());
  while (true) {
    auto batch = co_await (*watcher)->next();
    if (!batch) co_return std::unexpected(batch.error());
    apply(*batch);
  }
}

awaitable<void> WatchCache::run() {
  async::Backoff backoff(10ms, 5s);
  while (true) {
    int64_t before = revision_;
    auto ended = co_await follow();
    if (revision_ != before) backoff.reset();
    log::warning("server", "the store's watch ended; following again", {{"why", to_string(ended.error())}});
    co_await loop_.sleep(backoff.next(loop_.random()));
    if (ended.error().code == Code::kOutOfRange) {
      auto loaded = co_await load();
      if (!loaded) log::warning("server", "the watch cache could not be loaded", {{"why", loaded.error().message}});
    }
  }
}

awaitable<void> WatchCache::tick() {
  while (true) {
    co_await loop_.sleep(kTick);
    MonoTime now = loop_.now();
    for (auto& cache : caches_)
      for (Follower* follower : cache->followers_)
        if (follower->deadline_ <= now) follower->wake_.notify();
    if (waiters_ > 0) reached_.notify();
  }
}

const std::vector<std::shared_ptr<ResourceCache>>* WatchCache::by_key(std::string_view key, size_t& prefix_size) const {
  // The prefix is the greatest one not after the key: /registry/apps/deployments/ … for /registry/apps/deployments/a/b.
  auto it = by_prefix_.upper_bound(key);
  if (it == by_prefix_.begin()) return nullptr;
  --it;
  if (!key.starts_with(it->first)) return nullptr;
  prefix_size = it->first.size();
  return &it->second;
}

void WatchCache::apply(const store::WatchBatch& batch) {
  for (const auto& event : batch.events) {
    size_t prefix_size = 0;
    const auto* views = by_key(event->kv.key, prefix_size);
    if (views == nullptr || event->kv.mod_revision <= revision_) continue;
    std::string key = event->kv.key.substr(prefix_size);
    for (const auto& cache : *views) {
      if (event->type == store::Event::Type::kPut) cache->put(key, event->kv.value, event->kv.mod_revision);
      else cache->remove(key, event->kv.mod_revision);
    }
  }
  if (batch.revision > revision_) {
    revision_ = batch.revision;
    reached_.notify();
  }
  proven_ = loop_.now();
  for (auto& cache : caches_)
    if (cache->changed_) cache->wake_all();
}

awaitable<Result<void>> WatchCache::wait_consistent() {
  if (revision_ >= committed_) co_return Result<void>();
  co_return co_await wait_for(committed_, kConsistentReadLimit);
}

awaitable<Result<void>> WatchCache::wait_for(int64_t revision, Duration limit) {
  Count count(waiters_);
  MonoTime deadline = loop_.now() + limit;
  while (revision_ < revision) {
    if (stopping_) co_return fail(Code::kServiceUnavailable, "the server is shutting down");
    if (loop_.now() >= deadline) {
      auto details = std::make_shared<ErrorDetails>();
      details->causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
      details->retry_after_seconds = 1;
      co_return fail(Error{Code::kTimeout,
                           fmt::format("Too large resource version: {}, current: {}", revision, revision_), details});
    }
    co_await reached_.wait();
  }
  co_return Result<void>();
}

}  // namespace rs::server
