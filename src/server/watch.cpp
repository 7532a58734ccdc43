#include "server/watch.h"

namespace rs::server {
using namespace std::chrono_literals;
namespace {
constexpr Duration kFutureRevisionLimit = 3s;
constexpr int64_t kLeastTimeoutSeconds = 1800;   // --min-request-timeout

struct Sender {
  Core& core;
  const api::Kind& kind;
  const RequestInfo& info;
  const Accepted& accepted;
  const ListOptions& options;
  net::ResponseWriter& writer;
  bool columns_sent = false;

  awaitable<Result<void>> send(EventType shown, const CacheEvent& event);
  awaitable<Result<void>> send_object(const ObjectPtr& object);
  awaitable<Result<void>> send_transformed(std::string_view type, ObjectPtr object);
  awaitable<Result<void>> send_bookmark(int64_t revision, bool initial_end);
  awaitable<Result<void>> send_error(const Error& error);
  bool plain() const { return accepted.as == Accepted::As::kObject; }
};

std::string_view name_of_type(EventType type) {
  return type == EventType::kAdded ? "ADDED" : type == EventType::kModified ? "MODIFIED" : "DELETED";
}

awaitable<Result<void>> Sender::send(EventType shown, const CacheEvent& event) {
  if (plain()) co_return co_await writer.write(event.frame(shown));
  ObjectPtr object = event.object;
  if (shown == EventType::kDeleted && event.type != EventType::kDeleted)
    object = with_revision(*event.before, event.revision());
  co_return co_await send_transformed(name_of_type(shown), std::move(object));
}

awaitable<Result<void>> Sender::send_object(const ObjectPtr& object) {
  if (plain()) co_return co_await writer.write(encode_frame("ADDED", *object->bytes));
  co_return co_await send_transformed("ADDED", object);
}

awaitable<Result<void>> Sender::send_transformed(std::string_view type, ObjectPtr object) {
  Json shown;
  if (accepted.as == Accepted::As::kTable) {
    shown = table_of(kind, accepted, include_object(info), !columns_sent, {object}, core.loop.wall(),
                     std::to_string(object->revision));
    columns_sent = true;
  } else {
    shown = partial_metadata(object->tree(), accepted);
  }
  co_return co_await writer.write(encode_frame(type, to_text(shown)));
}

awaitable<Result<void>> Sender::send_bookmark(int64_t revision, bool initial_end) {
  Json metadata = JsonObject{{"resourceVersion", std::to_string(revision)}, {"creationTimestamp", nullptr}};
  if (initial_end) set(metadata, Json("true"), "annotations", "k8s.io/initial-events-end");
  Json object;
  if (accepted.as == Accepted::As::kTable) {
    JsonObject partial{{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/" + accepted.version}};
    partial["metadata"] = metadata;
    object = JsonObject{{"kind", "Table"}, {"apiVersion", "meta.k8s.io/" + accepted.version}};
    object.get_object()["metadata"] = JsonObject{{"resourceVersion", std::to_string(revision)}};
    object.get_object()["columnDefinitions"] = nullptr;
    object.get_object()["rows"] = JsonArray{JsonObject{{"cells", JsonArray()}, {"object", std::move(partial)}}};
  } else {
    bool whole = plain();
    object = JsonObject{{"kind", whole ? kind.kind : "PartialObjectMetadata"},
                        {"apiVersion", whole ? kind.group_version() : "meta.k8s.io/" + accepted.version}};
    object.get_object()["metadata"] = std::move(metadata);
  }
  co_return co_await writer.write(encode_frame("BOOKMARK", to_text(object)));
}

awaitable<Result<void>> Sender::send_error(const Error& error) {
  co_return co_await writer.write(encode_frame("ERROR", to_text(status_json(error))));
}

// What a change means to who looks through the selector; nothing: not seen.
std::optional<EventType> seen_as(const CacheEvent& event, const ListOptions& options, std::string_view ns) {
  if (!ns.empty() && event.object->ns() != ns) return std::nullopt;
  if (options.labels.empty() && options.fields.empty()) return event.type;
  bool now = event.type != EventType::kDeleted && matches(options, *event.object);
  bool before = event.before != nullptr && matches(options, *event.before);
  if (now && before) return EventType::kModified;
  if (now) return EventType::kAdded;
  if (before) return EventType::kDeleted;
  return std::nullopt;
}

struct Deadlines {
  MonoTime end, bookmark;
  Duration period;
};

awaitable<Result<void>> follow(Sender& sender, Follower& follower, Deadlines deadlines, std::string ns) {
  Core& core = sender.core;
  while (true) {
    auto event = co_await follower.next(std::min(deadlines.end, deadlines.bookmark));
    if (!event) {
      auto sent = co_await sender.send_error(event.error());
      co_return sent;
    }
    if (*event != nullptr) {
      if (auto type = seen_as(**event, sender.options, ns)) {
        if (auto sent = co_await sender.send(*type, **event); !sent) co_return sent;
      }
      continue;
    }
    // Nothing more to read: the stream is complete up to the cache's revision.
    MonoTime now = core.loop.now();
    bool ends = follower.ended || now >= deadlines.end;
    if (sender.options.bookmarks && (ends || now >= deadlines.bookmark)) {
      if (auto sent = co_await sender.send_bookmark(core.cache.revision(), false); !sent) co_return sent;
    }
    if (ends) co_return Result<void>();
    deadlines.bookmark = now + deadlines.period;
  }
}

awaitable<Result<void>> send_initial(Sender& sender, std::vector<ObjectPtr> objects) {
  for (const ObjectPtr& object : objects)
    if (auto sent = co_await sender.send_object(object); !sent) co_return sent;
  co_return Result<void>();
}

Deadlines deadlines_of(Core& core, const ListOptions& options) {
  MonoTime now = core.loop.now();
  int64_t seconds = options.timeout_seconds.value_or(0);
  if (seconds <= 0) seconds = core.loop.random().between(kLeastTimeoutSeconds, 2 * kLeastTimeoutSeconds);
  Duration period = core.options.bookmark_period;
  if (options.bookmark_seconds) period = std::chrono::seconds(std::clamp<int64_t>(*options.bookmark_seconds, 1, 3600));
  if (!options.bookmarks) period = std::chrono::hours(24);
  return {now + std::chrono::seconds(std::min<int64_t>(seconds, 86'400)), now + period, period};
}
}  // namespace

awaitable<Result<void>> handle_watch(Core& core, const api::Kind& kind, const RequestInfo& info, Accepted accepted,
                                     net::ResponseWriter& writer) {
  auto cache = core.cache.of(kind);
  if (cache == nullptr) co_return fail(method_not_allowed());
  auto options = parse_list_options(info, kind);
  if (!options) co_return std::unexpected(options.error());
  if (!info.name.empty() && options->fields.required("metadata.name") == nullptr) {
    auto fields = api::FieldSelector::parse(fmt::format("metadata.name={}", info.name), kind);
    if (!fields) co_return std::unexpected(fields.error());
    options->fields = std::move(*fields);
  }
  Deadlines deadlines = deadlines_of(core, *options);
  int64_t revision = options->revision();
  bool initial = options->send_initial_events ||
                 (!options->has_send_initial_events && (options->resource_version.empty() || revision == 0));
  // An unset version means the most recent state; one in the future is waited for.
  auto waited = options->resource_version.empty() ? co_await core.cache.wait_consistent() : Result<void>();
  if (waited && revision > core.cache.revision()) waited = co_await core.cache.wait_for(revision, kFutureRevisionLimit);
  accepted.media = api::MediaType::kJson;
  Follower follower(core.loop, cache);
  std::vector<ObjectPtr> objects;
  Result<uint64_t> from = cache->last_sequence();
  if (initial) objects = select(*cache, info.ns, *options);
  else if (revision > 0) from = cache->sequence_after(revision);
  int64_t initial_revision = core.cache.revision();
  if (auto started = co_await writer.start(200, {{"Content-Type", "application/json"},
                                                 {"Cache-Control", "no-cache, private"}});
      !started)
    co_return Result<void>();
  Sender sender{core, kind, info, accepted, *options, writer};
  Result<void> sent;
  if (!waited) sent = co_await sender.send_error(waited.error());
  else if (!from) sent = co_await sender.send_error(from.error());
  else {
    follower.start_after(*from);
    sent = co_await send_initial(sender, std::move(objects));
    if (sent && options->send_initial_events && options->bookmarks)
      sent = co_await sender.send_bookmark(initial_revision, true);
    if (sent) sent = co_await follow(sender, follower, deadlines, info.ns);
  }
  if (sent) (void)co_await writer.finish();
  co_return Result<void>();
}

}  // namespace rs::server
