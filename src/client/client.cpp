#include "client/client.h"

#include "api/codec.h"

namespace rs::client {
namespace {

// Status reasons (metav1.StatusReason) and the HTTP status codes that stand for them when no reason is given.
struct ReasonRow {
  std::string_view reason;
  int http_status;
  Code code;
};
constexpr ReasonRow kReasons[] = {
    {"BadRequest", 400, Code::kBadRequest},
    {"Unauthorized", 401, Code::kUnauthorized},
    {"Forbidden", 403, Code::kForbidden},
    {"NotFound", 404, Code::kNotFound},
    {"MethodNotAllowed", 405, Code::kMethodNotAllowed},
    {"NotAcceptable", 406, Code::kNotAcceptable},
    {"Conflict", 409, Code::kConflict},
    {"AlreadyExists", 0, Code::kAlreadyExists},
    {"Expired", 410, Code::kExpired},
    {"Gone", 0, Code::kExpired},
    {"RequestEntityTooLarge", 413, Code::kRequestEntityTooLarge},
    {"UnsupportedMediaType", 415, Code::kUnsupportedMediaType},
    {"Invalid", 422, Code::kInvalid},
    {"TooManyRequests", 429, Code::kTooManyRequests},
    {"InternalError", 500, Code::kInternalError},
    {"ServiceUnavailable", 503, Code::kServiceUnavailable},
    {"Timeout", 504, Code::kTimeout},
    {"ServerTimeout", 0, Code::kTimeout},
};

Error error_of(const Json& status, int http_status) {
  Error error;
  auto reason = str(status, "reason");
  if (auto code = integer(status, "code"); code >= 400 && code < 600) http_status = static_cast<int>(code);
  error.code = http_status >= 500 ? Code::kInternalError : Code::kBadRequest;
  for (const auto& row : kReasons) {
    if (reason.empty() ? row.http_status != http_status : row.reason != reason) continue;
    error.code = row.code;
    break;
  }
  error.message = str(status, "message");
  if (error.message.empty()) error.message = fmt::format("the server answered with HTTP status {}", http_status);
  if (const Json* details = find(status, "details")) {
    auto copy = std::make_shared<ErrorDetails>();
    copy->kind = str(*details, "kind");
    copy->group = str(*details, "group");
    copy->name = str(*details, "name");
    copy->uid = str(*details, "uid");
    copy->retry_after_seconds = static_cast<int>(integer(*details, "retryAfterSeconds"));
    for (const Json& cause : array(*details, "causes"))
      copy->causes.push_back({std::string(str(cause, "reason")), std::string(str(cause, "message")),
                              std::string(str(cause, "field"))});
    error.details = std::move(copy);
  }
  return error;
}

void add_param(std::string& target, std::string_view name, std::string_view value) {
  target += target.find('?') == std::string::npos ? '?' : '&';
  ((target += name) += '=') += net::percent_encode(value);
}

std::string_view content_type(PatchType type) {
  switch (type) {
    case PatchType::kJson: return "application/json-patch+json";
    case PatchType::kMerge: return "application/merge-patch+json";
    case PatchType::kStrategic: return "application/strategic-merge-patch+json";
    case PatchType::kApply: return "application/apply-patch+yaml";
  }
  return "application/merge-patch+json";
}

std::string list_target(const Resource& resource, const ListOptions& options) {
  std::string target = resource.path(options.ns);
  if (!options.label_selector.empty()) add_param(target, "labelSelector", options.label_selector);
  if (!options.field_selector.empty()) add_param(target, "fieldSelector", options.field_selector);
  return target;
}

}  // namespace

Error error_from_status(int http_status, std::string_view body) {
  auto status = parse_json(body);
  if (status && str(*status, "kind") == "Status") return error_of(*status, http_status);
  return error_of(Json(), http_status);
}

std::string Resource::path(std::string_view ns, std::string_view name, std::string_view subresource) const {
  std::string path = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  if (namespaced && !ns.empty()) path += "/namespaces/" + net::percent_encode(ns);
  path += "/" + plural;
  if (!name.empty()) path += "/" + net::percent_encode(name);
  if (!subresource.empty()) (path += "/") += subresource;
  return path;
}

namespace resources {
const Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
const Resource kNodes{"", "v1", "nodes", "Node", false};
const Resource kPods{"", "v1", "pods", "Pod"};
const Resource kServices{"", "v1", "services", "Service"};
const Resource kEndpoints{"", "v1", "endpoints", "Endpoints"};
const Resource kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"};
const Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
const Resource kSecrets{"", "v1", "secrets", "Secret"};
const Resource kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount"};
const Resource kEvents{"", "v1", "events", "Event"};
const Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};
const Resource kDeployments{"apps", "v1", "deployments", "Deployment"};
const Resource kReplicaSets{"apps", "v1", "replicasets", "ReplicaSet"};
const Resource kJobs{"batch", "v1", "jobs", "Job"};
const Resource kPodDisruptionBudgets{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"};
}  // namespace resources

std::optional<Resource> resource_for(std::string_view api_version, std::string_view kind) {
  auto slash = api_version.find('/');
  auto group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  auto version = slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
  const api::Kind* found = api::builtin_kinds().by_kind(group, version, kind);
  if (found == nullptr) return std::nullopt;
  return Resource{found->group, found->version, found->plural, found->kind, found->namespaced};
}

EventStream::EventStream(std::unique_ptr<net::ResponseStream> stream) : stream_(std::move(stream)) {}

awaitable<Result<std::optional<WatchEvent>>> EventStream::next() {
  static constexpr size_t kLineLimit = 16u << 20;
  for (;;) {
    size_t end = buffer_.find('\n', parsed_);
    if (end != std::string::npos) {
      auto line = std::string_view(buffer_).substr(parsed_, end - parsed_);
      parsed_ = end + 1;
      if (line.empty()) continue;
      auto event = parse_json(line, {.bytes = kLineLimit});
      if (!event) co_return fail_at("watch event", event.error());
      auto type = str(*event, "type");
      Json* object = find(*event, "object");
      if (object == nullptr) co_return fail(Code::kInternalError, "watch event without an object");
      if (type == "ERROR") co_return fail(error_of(*object, 500));
      WatchEvent out{WatchEvent::Type::kBookmark, std::move(*object)};
      if (type == "ADDED") out.type = WatchEvent::Type::kAdded;
      else if (type == "MODIFIED") out.type = WatchEvent::Type::kModified;
      else if (type == "DELETED") out.type = WatchEvent::Type::kDeleted;
      else if (type != "BOOKMARK") continue;  // a type of a newer server: not ours to judge
      co_return std::optional<WatchEvent>(std::move(out));
    }
    buffer_.erase(0, parsed_);
    parsed_ = 0;
    if (buffer_.size() > kLineLimit) co_return fail(Code::kResourceExhausted, "watch event of more than {} bytes", kLineLimit);
    auto bytes = co_await stream_->read();
    if (!bytes) co_return fail(bytes.error());
    if (bytes->empty()) co_return std::nullopt;
    buffer_ += *bytes;
  }
}

Client::Client(async::Loop& loop, Transport& transport, std::string name)
    : loop_(loop), transport_(transport), name_(std::move(name)) {}

awaitable<Result<net::Response>> Client::raw(net::Request request) {
  request.headers.set("user-agent", name_ + "/" ROADSTEAD_VERSION);
  auto response = co_await transport_.call(std::move(request), timeout);
  if (!response) co_return fail(response.error());
  if (response->status >= 300) co_return fail(error_from_status(response->status, response->body));
  co_return std::move(*response);
}

awaitable<Result<Json>> Client::send(std::string method, std::string target, std::string type, std::string body) {
  net::Request request;
  if (method != "GET" && method != "DELETE") add_param(target, "fieldManager", name_);
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  request.headers.add("accept", "application/json");
  if (!request.body.empty()) request.headers.add("content-type", std::move(type));
  auto response = co_await raw(std::move(request));
  if (!response) co_return fail(response.error());
  co_return parse_json(response->body, {.bytes = 64u << 20});
}

awaitable<Result<Json>> Client::get(const Resource& resource, api::ObjectKey key) {
  return send("GET", resource.path(key.ns, key.name), {}, {});
}

awaitable<Result<ObjectList>> Client::list(const Resource& resource, ListOptions options) {
  ObjectList out;
  std::string api_version = api::group_version(resource.group, resource.version);
  std::string continuation;
  do {
    std::string target = list_target(resource, options);
    if (options.limit > 0) add_param(target, "limit", std::to_string(options.limit));
    if (!continuation.empty()) add_param(target, "continue", continuation);
    else if (!options.resource_version.empty()) add_param(target, "resourceVersion", options.resource_version);
    auto page = co_await send("GET", std::move(target), {}, {});
    if (!page) co_return fail(page.error());
    out.resource_version = api::resource_version_of(*page);
    continuation = str(*page, "metadata", "continue");
    if (Json* items = find(*page, "items"); items != nullptr && items->is_array()) {
      for (Json& item : items->get_array()) {
        if (!item.is_object()) continue;
        auto& object = item.get_object();
        if (!object.contains("kind")) object["kind"] = resource.kind;
        if (!object.contains("apiVersion")) object["apiVersion"] = api_version;
        out.items.push_back(std::move(item));
      }
    }
  } while (!continuation.empty());
  co_return out;
}

awaitable<Result<Json>> Client::create(const Resource& resource, Json object) {
  return send("POST", resource.path(api::namespace_of(object)), "application/json", to_text(object));
}

awaitable<Result<Json>> Client::update(const Resource& resource, Json object, std::string subresource) {
  return send("PUT", resource.path(api::namespace_of(object), api::name_of(object), subresource), "application/json",
              to_text(object));
}

awaitable<Result<Json>> Client::patch(const Resource& resource, api::ObjectKey key, PatchType type, Json patch,
                                      std::string subresource) {
  std::string target = resource.path(key.ns, key.name, subresource);
  if (type == PatchType::kApply) add_param(target, "force", "true");
  return send("PATCH", std::move(target), std::string(content_type(type)), to_text(patch));
}

awaitable<Result<Json>> Client::remove(const Resource& resource, api::ObjectKey key, DeleteOptions options) {
  JsonObject body{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (options.grace_period_seconds) body["gracePeriodSeconds"] = *options.grace_period_seconds;
  if (!options.propagation_policy.empty()) body["propagationPolicy"] = options.propagation_policy;
  JsonObject preconditions;
  if (!options.precondition_uid.empty()) preconditions["uid"] = options.precondition_uid;
  if (!options.precondition_resource_version.empty())
    preconditions["resourceVersion"] = options.precondition_resource_version;
  if (!preconditions.empty()) body["preconditions"] = std::move(preconditions);
  return send("DELETE", resource.path(key.ns, key.name), "application/json", to_text(Json(std::move(body))));
}

awaitable<Result<Json>> Client::post(const Resource& resource, api::ObjectKey key, std::string subresource, Json body) {
  return send("POST", resource.path(key.ns, key.name, subresource), "application/json", to_text(body));
}

awaitable<Result<std::unique_ptr<EventStream>>> Client::watch(const Resource& resource, ListOptions options,
                                                              std::string resource_version, int bookmark_seconds) {
  std::string target = list_target(resource, options);
  add_param(target, "watch", "true");
  add_param(target, "allowWatchBookmarks", "true");
  if (bookmark_seconds > 0) add_param(target, "bookmarkPeriodSeconds", std::to_string(bookmark_seconds));
  if (!resource_version.empty()) add_param(target, "resourceVersion", resource_version);
  // Ends now and then by itself, so that the code that resumes runs every day and not only in an outage.
  add_param(target, "timeoutSeconds", std::to_string(loop_.random().between(300, 600)));
  net::Request request;
  request.target = std::move(target);
  request.headers.add("accept", "application/json");
  request.headers.add("user-agent", name_ + "/" ROADSTEAD_VERSION);
  auto stream = co_await transport_.stream(std::move(request), timeout);
  if (!stream) co_return fail(stream.error());
  if ((*stream)->status() != 200) {
    std::string body;
    for (;;) {
      auto bytes = co_await (*stream)->read();
      if (!bytes || bytes->empty() || body.size() > (1u << 20)) break;
      body += *bytes;
    }
    co_return fail(error_from_status((*stream)->status(), body));
  }
  co_return std::make_unique<EventStream>(std::move(*stream));
}

}  // namespace rs::client
