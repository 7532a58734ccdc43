#include "client/informer.h"

#include "async/backoff.h"
#include "base/assert.h"
#include "base/log.h"

namespace rs::client {

Informer::Informer(Client& client, Resource resource, ListOptions selector)
    : client_(client),
      resource_(std::move(resource)),
      selector_(std::move(selector)),
      changed_(client.loop()),
      tasks_(client.loop()) {
  add_index("owner", [](const Json& object) {
    std::vector<std::string> uids;
    for (const Json& owner : array(object, "metadata", "ownerReferences")) uids.emplace_back(str(owner, "uid"));
    return uids;
  });
}

Informer::~Informer() = default;

void Informer::start() { tasks_.spawn("informer " + resource_.plural, run()); }
awaitable<void> Informer::stop() { return tasks_.stop(); }
void Informer::on_change(Handler handler) { handlers_.push_back(std::move(handler)); }

void Informer::add_index(std::string name, IndexFunction function) {
  auto& index = indexes_[std::move(name)];
  index.function = std::move(function);
  index.keys.clear();
  for (const auto& [key, object] : objects_)
    for (auto& value : index.function(*object)) index.keys[std::move(value)].insert(key);
}

awaitable<Result<void>> Informer::wait_synced(Duration timeout) {
  MonoTime deadline = client_.loop().now() + timeout;
  while (!synced_) {
    if (client_.loop().now() >= deadline)
      co_return fail(Code::kTimeout, "the first list of {} did not complete in time", resource_.plural);
    co_await client_.loop().sleep(std::chrono::milliseconds(2));
  }
  co_return Result<void>();
}

ObjectPtr Informer::get(const api::ObjectKey& key) const {
  auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : it->second;
}

ObjectPtr Informer::get(std::string_view ns, std::string_view name) const {
  return get(api::ObjectKey{std::string(ns), std::string(name)});
}

std::vector<ObjectPtr> Informer::in_namespace(std::string_view ns) const {
  std::vector<ObjectPtr> out;
  for (auto it = objects_.lower_bound({std::string(ns), ""}); it != objects_.end() && it->first.ns == ns; ++it)
    out.push_back(it->second);
  return out;
}

std::vector<ObjectPtr> Informer::by_index(std::string_view name, std::string_view value) const {
  std::vector<ObjectPtr> out;
  auto index = indexes_.find(name);
  ASSERT(index != indexes_.end(), "no such index");
  auto keys = index->second.keys.find(value);
  if (keys == index->second.keys.end()) return out;
  for (const auto& key : keys->second)
    if (auto object = get(key)) out.push_back(std::move(object));
  return out;
}

std::vector<ObjectPtr> Informer::owned_by(std::string_view uid) const { return by_index("owner", uid); }

Freshness Informer::freshness() const {
  return {revision_, synced_ ? client_.loop().now() - proven_ : Duration::max(), synced_};
}

void Informer::reindex(const api::ObjectKey& key, const ObjectPtr& before, const ObjectPtr& now) {
  for (auto& [name, index] : indexes_) {
    if (before)
      for (const auto& value : index.function(*before)) {
        auto it = index.keys.find(value);
        if (it == index.keys.end()) continue;
        it->second.erase(key);
        if (it->second.empty()) index.keys.erase(it);
      }
    if (now)
      for (auto& value : index.function(*now)) index.keys[std::move(value)].insert(key);
  }
}

void Informer::apply(const api::ObjectKey& key, ObjectPtr now) {
  ObjectPtr before = get(key);
  if (!before && !now) return;
  if (before && now && api::resource_version_of(*before) == api::resource_version_of(*now)) return;
  reindex(key, before, now);
  if (now) objects_[key] = now;
  else objects_.erase(key);
  for (const auto& handler : handlers_) handler(key, before, now);
}

awaitable<Result<void>> Informer::list_and_replace() {
  ListOptions options = selector_;
  options.limit = 500;
  auto list = co_await client_.list(resource_, std::move(options));
  if (!list) co_return fail(list.error());
  std::set<api::ObjectKey> present;
  for (Json& item : list->items) {
    auto key = api::key_of(item);
    present.insert(key);
    apply(key, std::make_shared<const Json>(std::move(item)));
  }
  std::vector<api::ObjectKey> gone;
  for (const auto& [key, object] : objects_)
    if (!present.contains(key)) gone.push_back(key);
  for (const auto& key : gone) apply(key, nullptr);
  revision_ = list->resource_version;
  proven_ = client_.loop().now();
  synced_ = true;
  co_return Result<void>();
}

awaitable<Result<void>> Informer::follow() {
  auto stream = co_await client_.watch(resource_, selector_, std::to_string(revision_));
  if (!stream) co_return fail(stream.error());
  for (;;) {
    auto event = co_await async::with_timeout(client_.loop(), kSilenceLimit, "watch " + resource_.plural, (*stream)->next());
    if (!event) co_return fail(event.error());
    if (!event->has_value()) co_return Result<void>();
    WatchEvent& change = **event;
    if (int64_t revision = api::resource_version_of(change.object); revision > revision_) revision_ = revision;
    proven_ = client_.loop().now();
    if (change.type == WatchEvent::Type::kBookmark) continue;
    auto key = api::key_of(change.object);
    apply(key, change.type == WatchEvent::Type::kDeleted ? nullptr
                                                         : std::make_shared<const Json>(std::move(change.object)));
  }
}

awaitable<void> Informer::run() {
  async::Backoff backoff(std::chrono::milliseconds(20), std::chrono::seconds(5));
  bool must_list = true;
  for (;;) {
    MonoTime begun = client_.loop().now();
    auto outcome = must_list ? co_await list_and_replace() : co_await follow();
    if (outcome) {
      bool listed = std::exchange(must_list, false);
      // A watch that ends as soon as it began is resumed without haste.
      if (listed || client_.loop().now() - begun > std::chrono::seconds(1)) {
        backoff.reset();
        continue;
      }
    }
    if (!outcome) {
      must_list = must_list || outcome.error().code == Code::kExpired || outcome.error().code == Code::kGone;
      log::debug("client", "watch is resumed", {{"resource", resource_.plural}, {"reason", outcome.error().message}});
    }
    co_await client_.loop().sleep(backoff.next(client_.loop().random()));
  }
}

Informer& Informers::of(const Resource& resource) {
  auto& entry = informers_[resource.group + "/" + resource.plural];
  if (!entry) {
    entry = std::make_unique<Informer>(client_, resource);
    if (started_) entry->start();
  }
  return *entry;
}

void Informers::start() {
  ASSERT(!started_);
  started_ = true;
  for (auto& [name, informer] : informers_) informer->start();
}

awaitable<void> Informers::stop() {
  for (auto& [name, informer] : informers_) co_await informer->stop();
}

awaitable<Result<void>> Informers::wait_synced(Duration timeout) {
  MonoTime deadline = client_.loop().now() + timeout;
  for (auto& [name, informer] : informers_) {
    auto synced = co_await informer->wait_synced(deadline - client_.loop().now());
    if (!synced) co_return fail(synced.error());
  }
  co_return Result<void>();
}

std::vector<const Informer*> Informers::all() const {
  std::vector<const Informer*> out;
  for (const auto& [name, informer] : informers_) out.push_back(informer.get());
  return out;
}

}  // namespace rs::client
