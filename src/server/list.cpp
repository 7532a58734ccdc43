#include "server/list.h"

namespace rs::server {
using namespace std::chrono_literals;
namespace {
constexpr Duration kFutureRevisionLimit = 3s;

struct Page {
  std::vector<ObjectPtr> objects;
  int64_t revision = 0;
  std::string next;                    // key where the next chunk begins; empty: complete
  std::optional<int64_t> remaining;
};

// Keys of a namespace: "ns/".."ns0"; of all: from the beginning.
struct Span {
  std::string begin, end;              // end empty: none
};
Span span_of(std::string_view ns) {
  if (ns.empty()) return {};
  return {std::string(ns) + "/", std::string(ns) + "0"};
}

Page page_from_cache(const ResourceCache& cache, std::string_view ns, const ListOptions& options, std::string_view start,
                     int64_t revision, bool limited) {
  Page page;
  page.revision = revision;
  Span span = span_of(ns);
  const auto& objects = cache.objects();
  auto it = objects.lower_bound(std::max(std::string_view(span.begin), start));
  auto end = span.end.empty() ? objects.end() : objects.lower_bound(span.end);
  for (; it != end; ++it) {
    if (limited && int64_t(page.objects.size()) >= options.limit) {
      page.next = it->first;
      if (options.labels.empty() && options.fields.empty()) page.remaining = std::distance(it, end);
      break;
    }
    if (matches(options, *it->second)) page.objects.push_back(it->second);
  }
  return page;
}

// An older revision is read from the store.
awaitable<Result<Page>> page_from_store(Core& core, const api::Kind& kind, std::string ns, const ListOptions& options,
                                        std::string start, int64_t revision) {
  std::string prefix = storage_prefix(kind);
  Span span = span_of(ns);
  std::string key = prefix + std::max(span.begin, start);
  Page page;
  page.revision = revision;
  bool selective = !options.labels.empty() || !options.fields.empty();
  while (true) {
    store::RangeRequest request;
    request.key = key;
    request.range_end = span.end.empty() ? store::prefix_end(prefix) : prefix + span.end;
    request.revision = revision;
    request.limit = options.limit == 0 ? 0 : options.limit - int64_t(page.objects.size());
    auto range = co_await core.store.range(std::move(request));
    if (!range) co_return std::unexpected(range.error());
    for (const auto& kv : range->kvs) {
      ObjectPtr object = make_cached(kind, kv.key.substr(prefix.size()), kv.value, kv.mod_revision);
      if (object != nullptr && matches(options, *object)) page.objects.push_back(std::move(object));
    }
    if (!range->more || range->kvs.empty()) co_return page;
    key = range->kvs.back().key + '\0';
    if (options.limit > 0 && int64_t(page.objects.size()) >= options.limit) {
      page.next = key.substr(prefix.size());
      if (!selective) page.remaining = range->count - int64_t(range->kvs.size());
      co_return page;
    }
  }
}

Error expired_error(std::string message) { return Error{Code::kExpired, std::move(message)}; }

// 410 with a token to go on with at the current revision (apiserver etcd3/errors.go handleCompactedErrorForPaging).
net::Response expired_continue(std::string_view start) {
  Json status = status_json(expired_error(
      "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
      "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
      "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
      "deleted between the time the first chunk was returned and now may show up in the list."));
  set(status, Json(encode_continue({-1, std::string(start)})), "metadata", "continue");
  return json_response(410, status);
}

net::Response list_response(const api::Kind& kind, const Accepted& accepted, const RequestInfo& info, const Page& page,
                            WallTime now) {
  JsonObject metadata;
  metadata["resourceVersion"] = std::to_string(page.revision);
  if (!page.next.empty()) metadata["continue"] = encode_continue({page.revision, page.next});
  if (page.remaining && *page.remaining > 0) metadata["remainingItemCount"] = *page.remaining;
  net::Response response;
  response.headers.add("Content-Type", content_type(accepted));
  Json tree;
  if (accepted.as == Accepted::As::kTable) {
    tree = table_of(kind, accepted, include_object(info), true, page.objects, now, "");
    tree.get_object()["metadata"] = std::move(metadata);
  } else if (accepted.as != Accepted::As::kObject) {
    JsonArray items;
    for (const ObjectPtr& object : page.objects) items.push_back(partial_metadata(object->tree(), accepted));
    tree = JsonObject{{"kind", "PartialObjectMetadataList"}, {"apiVersion", "meta.k8s.io/" + accepted.version}};
    tree.get_object()["metadata"] = std::move(metadata);
    tree.get_object()["items"] = std::move(items);
  } else {
    // The common case: bytes are put together, nothing is parsed.
    std::string& body = response.body;
    size_t size = 256;
    for (const ObjectPtr& object : page.objects) size += object->bytes->size() + 1;
    body.reserve(size);
    body = fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{},"items":[)", kind.list_kind(), kind.group_version(),
                       to_text(metadata));
    for (const ObjectPtr& object : page.objects) {
      if (body.back() != '[') body += ',';
      body += *object->bytes;
    }
    body += "]}\n";
    if (accepted.media == api::MediaType::kJson && !is_true(info.target.param("pretty"))) return response;
    if (auto parsed = parse_json(body, {.depth = 256, .bytes = size_t(1) << 30})) tree = std::move(*parsed);
  }
  if (accepted.media == api::MediaType::kYaml) response.body = api::to_yaml(tree);
  else if (accepted.media == api::MediaType::kProtobuf) {
    auto encoded = api::encode_protobuf(tree);
    if (!encoded) return status_response(encoded.error());
    response.body = std::move(*encoded);
  } else response.body = (is_true(info.target.param("pretty")) ? to_pretty_text(tree) : to_text(tree)) + "\n";
  return response;
}

// Waits as resourceVersion asks.
awaitable<Result<void>> wait_for_version(Core& core, const std::string& version, int64_t revision) {
  if (version.empty()) co_return co_await core.cache.wait_consistent();
  if (revision > core.cache.revision()) co_return co_await core.cache.wait_for(revision, kFutureRevisionLimit);
  co_return Result<void>();
}
}  // namespace

std::vector<ObjectPtr> select(const ResourceCache& cache, std::string_view ns, const ListOptions& options) {
  return page_from_cache(cache, ns, options, "", 0, false).objects;
}

awaitable<Result<net::Response>> handle_get(Core& core, const api::Kind& kind, const RequestInfo& info, Accepted accepted) {
  auto cache = core.cache.of(kind);
  if (cache == nullptr) co_return fail(method_not_allowed());
  ListOptions options;
  options.resource_version = info.target.param("resourceVersion");
  auto waited = co_await wait_for_version(core, options.resource_version, options.revision());
  if (!waited) co_return std::unexpected(waited.error());
  ObjectPtr object = cache->get(info.ns, info.name);
  if (object == nullptr) co_return fail(not_found(kind, info.name));
  co_return object_response(kind, 200, accepted, info, object->bytes, core.loop.wall());
}

awaitable<Result<net::Response>> handle_list(Core& core, const api::Kind& kind, const RequestInfo& info, Accepted accepted) {
  auto cache = core.cache.of(kind);
  if (cache == nullptr) co_return fail(method_not_allowed());
  auto options = parse_list_options(info, kind);
  if (!options) co_return std::unexpected(options.error());
  std::string start;
  int64_t exact = 0;
  if (!options->continue_token.empty()) {
    if (!options->resource_version.empty() && options->resource_version != "0")
      co_return fail(Code::kBadRequest, "specifying resource version is not allowed when using continue");
    auto token = decode_continue(options->continue_token);
    if (!token) co_return std::unexpected(token.error());
    start = token->start;
    exact = std::max<int64_t>(token->revision, 0);
    options->resource_version.clear();
  } else if (options->resource_version_match == "Exact" ||
             (options->limit > 0 && options->revision() > 0 && options->resource_version_match.empty())) {
    exact = options->revision();
  }
  auto waited = co_await wait_for_version(core, exact > 0 ? std::to_string(exact) : options->resource_version,
                                          exact > 0 ? exact : options->revision());
  if (!waited) co_return std::unexpected(waited.error());
  if (exact > 0 && exact < core.cache.revision()) {
    auto page = co_await page_from_store(core, kind, info.ns, *options, start, exact);
    if (!page && page.error().code == Code::kOutOfRange) {
      if (!start.empty()) co_return expired_continue(start);
      co_return fail(expired_error("The resourceVersion for the provided list is too old."));
    }
    if (!page) co_return std::unexpected(page.error());
    co_return list_response(kind, accepted, info, *page, core.loop.wall());
  }
  bool limited = options->limit > 0 && options->resource_version != "0";
  Page page = page_from_cache(*cache, info.ns, *options, start, core.cache.revision(), limited);
  co_return list_response(kind, accepted, info, page, core.loop.wall());
}

}  // namespace rs::server
