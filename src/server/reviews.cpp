#include "server/reviews.h"

#include "api/meta.h"

namespace rs::server {
namespace {

JsonArray strings(const std::vector<std::string>& values) {
  JsonArray out;
  for (const std::string& value : values) out.emplace_back(value);
  return out;
}

std::vector<std::string> strings_at(const JsonArray& values) {
  std::vector<std::string> out;
  for (const Json& value : values)
    if (value.is_string()) out.emplace_back(value.get_string());
  return out;
}

Result<AccessRequest> access_of(const Json& spec) {
  AccessRequest request;
  const Json* resource = find(spec, "resourceAttributes");
  const Json* path = find(spec, "nonResourceAttributes");
  if ((resource == nullptr) == (path == nullptr))
    return fail(Code::kInvalid, "spec.resourceAttributes: Invalid value: exactly one of nonResourceAttributes or "
                                "resourceAttributes must be specified");
  if (path != nullptr) {
    request.is_resource = false;
    request.verb = str(*path, "verb");
    request.path = str(*path, "path");
    return request;
  }
  request.verb = str(*resource, "verb");
  request.group = str(*resource, "group");
  request.resource = str(*resource, "resource");
  request.subresource = str(*resource, "subresource");
  request.ns = str(*resource, "namespace");
  request.name = str(*resource, "name");
  return request;
}

UserInfo user_of(const Json& spec) {
  UserInfo user;
  user.name = str(spec, "user");
  user.uid = str(spec, "uid");
  user.groups = strings_at(array(spec, "groups"));
  return user;
}

Json rules_status(const std::vector<PolicyRule>& rules) {
  JsonArray resources, paths;
  for (const PolicyRule& rule : rules) {
    if (!rule.paths.empty()) {
      paths.push_back(JsonObject{{"verbs", strings(rule.verbs)}, {"nonResourceURLs", strings(rule.paths)}});
      continue;
    }
    JsonObject item{{"verbs", strings(rule.verbs)}, {"apiGroups", strings(rule.groups)}, {"resources", strings(rule.resources)}};
    if (!rule.names.empty()) item["resourceNames"] = strings(rule.names);
    resources.push_back(std::move(item));
  }
  JsonObject status;
  status["resourceRules"] = std::move(resources);
  status["nonResourceRules"] = std::move(paths);
  status["incomplete"] = false;
  return status;
}

Json token_status(const Json& review, const Authenticator& authenticator) {
  std::vector<std::string> audiences = strings_at(array(review, "spec", "audiences"));
  auto user = authenticator.check_token(str(review, "spec", "token"), audiences);
  JsonObject status;
  if (!user) {
    status["user"] = JsonObject();
    status["error"] = user.error().message;
    return status;
  }
  status["authenticated"] = true;
  status["user"] = user_json(*user);
  if (!audiences.empty()) status["audiences"] = strings(audiences);
  return status;
}
}  // namespace

Json user_json(const UserInfo& user) {
  JsonObject out{{"username", user.name}};
  if (!user.uid.empty()) out["uid"] = user.uid;
  if (!user.groups.empty()) out["groups"] = strings(user.groups);
  if (!user.extra.empty()) {
    JsonObject extra;
    for (const auto& [key, values] : user.extra) extra[key] = strings(values);
    out["extra"] = std::move(extra);
  }
  return out;
}

Result<net::Response> handle_review(const RequestContext& context, Authenticator& authenticator, Authorizer& authorizer) {
  auto write = make_write(context);
  if (!write) return std::unexpected(write.error());
  auto review = decode_body(context, context.kind, *write);
  if (!review) return std::unexpected(review.error());
  const std::string& kind = context.kind.kind;
  Json status;
  if (kind == "SelfSubjectReview") {
    status = JsonObject{{"userInfo", user_json(context.user)}};
  } else if (kind == "TokenReview") {
    status = token_status(*review, authenticator);
  } else if (kind == "SelfSubjectRulesReview") {
    std::string_view ns = str(*review, "spec", "namespace");
    if (ns.empty()) return fail(Code::kBadRequest, "no namespace on request");
    status = rules_status(authorizer.rules_of(context.user, ns));
  } else if (kind.ends_with("SubjectAccessReview")) {
    const Json* spec = find(static_cast<const Json&>(*review), "spec");
    auto request = access_of(spec == nullptr ? Json() : *spec);
    if (!request) return fail(Code::kInvalid, "{}.{} \"\" is invalid: {}", kind, context.kind.group, request.error().message);
    if (kind == "LocalSubjectAccessReview" && request->ns != context.info.ns)
      return fail(Code::kInvalid, "{}.{} \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: must match "
                  "metadata.namespace", kind, context.kind.group);
    UserInfo user = kind == "SelfSubjectAccessReview" ? context.user : user_of(*spec);
    if (user.name.empty() && user.groups.empty())
      return fail(Code::kInvalid, "{}.{} \"\" is invalid: spec.user: Invalid value: \"\": at least one of user or group must "
                  "be specified", kind, context.kind.group);
    status = JsonObject{{"allowed", authorizer.allows(user, *request)}};
  } else {
    return fail(unknown_resource());
  }
  set(*review, std::move(status), "status");
  ensure(*review, "metadata");
  Written written;
  written.created = true;
  written.bytes = std::make_shared<const std::string>(to_text(*review));
  return written_response(context, *write, written);
}

Result<UserInfo> impersonate(const net::Request& request, UserInfo user, Authorizer& authorizer) {
  constexpr std::string_view kExtra = "impersonate-extra-";
  std::string_view name = request.headers.get("Impersonate-User");
  auto groups = request.headers.all("Impersonate-Group");
  if (name.empty()) {
    if (!groups.empty() || request.headers.has("Impersonate-Uid"))
      return fail(Code::kInternalError, "requested [{{Group  {} }}] without impersonating a user",
                  groups.empty() ? std::string_view() : groups[0]);
    return user;
  }
  UserInfo as;
  as.name = name;
  AccessRequest access{.verb = "impersonate", .is_resource = true, .group = {}, .resource = "users", .subresource = {},
                       .ns = {}, .name = as.name, .path = {}};
  constexpr std::string_view kAccount = "system:serviceaccount:";
  if (name.starts_with(kAccount)) {
    std::string_view rest = name.substr(kAccount.size());
    access.resource = "serviceaccounts";
    access.ns = rest.substr(0, rest.find(':'));
    access.name = rest.substr(std::min(rest.size(), access.ns.size() + 1));
    as.groups = {"system:serviceaccounts", "system:serviceaccounts:" + access.ns};
  }
  if (!authorizer.allows(user, access)) return fail(denied(user, access));
  for (std::string_view group : groups) {
    access = {.verb = "impersonate", .is_resource = true, .group = {}, .resource = "groups", .subresource = {}, .ns = {},
              .name = std::string(group), .path = {}};
    if (!authorizer.allows(user, access)) return fail(denied(user, access));
    as.groups.emplace_back(group);
  }
  for (const auto& [key, value] : request.headers) {
    std::string lower;
    for (char c : key) lower += char(std::tolower(static_cast<unsigned char>(c)));
    bool uid = lower == "impersonate-uid";
    if (!uid && !lower.starts_with(kExtra)) continue;
    access = {.verb = "impersonate", .is_resource = true, .group = "authentication.k8s.io",
              .resource = uid ? "uids" : "userextras", .subresource = uid ? "" : lower.substr(kExtra.size()), .ns = {},
              .name = value, .path = {}};
    if (!authorizer.allows(user, access)) return fail(denied(user, access));
    if (uid) as.uid = value;
    else as.extra[lower.substr(kExtra.size())].push_back(value);
  }
  if (as.name != kAnonymousUser && !as.in_group(kAuthenticated)) as.groups.emplace_back(kAuthenticated);
  if (as.name == kAnonymousUser && !as.in_group(kUnauthenticated)) as.groups.emplace_back(kUnauthenticated);
  return as;
}

awaitable<Result<net::Response>> handle_token(RequestContext context, Authenticator& authenticator) {
  constexpr int64_t kDefaultSeconds = 3600, kLeastSeconds = 600, kMostSeconds = int64_t(1) << 32;
  auto write = make_write(context);
  if (!write) co_return std::unexpected(write.error());
  const api::Kind* kind = context.core.kinds.by_kind("authentication.k8s.io", "v1", "TokenRequest");
  if (kind == nullptr) co_return fail(unknown_resource());
  auto request = decode_body(context, *kind, *write);
  if (!request) co_return std::unexpected(request.error());
  if (auto ready = co_await context.core.cache.wait_consistent(); !ready) co_return std::unexpected(ready.error());
  ObjectPtr account = write->cache->get(write->ns, write->name);
  if (account == nullptr) co_return fail(not_found(context.kind, write->name));
  Json tree = account->tree();
  int64_t seconds = integer_or(*request, kDefaultSeconds, "spec", "expirationSeconds");
  if (seconds < kLeastSeconds || seconds > kMostSeconds)
    co_return fail(Code::kInvalid, "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: "
                   "{}: may not specify a duration {}", seconds,
                   seconds < kLeastSeconds ? "less than 10 minutes" : "larger than 2^32 seconds");
  auto now = std::chrono::duration_cast<std::chrono::seconds>(context.core.loop.wall().since_unix).count();
  JsonObject kubernetes{{"namespace", write->ns}};
  kubernetes["serviceaccount"] = JsonObject{{"name", write->name}, {"uid", api::uid_of(tree)}};
  if (const Json* bound = find(*request, "spec", "boundObjectRef")) {
    std::string_view bound_kind = str(*bound, "kind");
    std::string_view plural = bound_kind == "Pod" ? "pods" : bound_kind == "Secret" ? "secrets" : "";
    ObjectPtr object = plural.empty() ? nullptr : context.core.find("", plural, write->ns, str(*bound, "name"));
    if (plural.empty()) co_return fail(Code::kBadRequest, "cannot bind token to object of type {}", bound_kind);
    if (object == nullptr)
      co_return fail(Code::kNotFound, "{} \"{}\" not found", plural, str(*bound, "name"));
    Json other = object->tree();
    if (auto uid = str(*bound, "uid"); !uid.empty() && uid != api::uid_of(other))
      co_return fail(Code::kConflict, "the UID in the bound object reference ({}) does not match the UID in record. The object "
                     "might have been deleted and then recreated", uid);
    kubernetes[bound_kind == "Pod" ? "pod" : "secret"] =
        JsonObject{{"name", api::name_of(other)}, {"uid", api::uid_of(other)}};
  }
  std::vector<std::string> audiences = strings_at(array(*request, "spec", "audiences"));
  if (audiences.empty()) audiences = context.core.options.audiences;
  JsonObject claims{{"aud", strings(audiences)}, {"exp", now + seconds}, {"iat", now}, {"nbf", now}};
  claims["iss"] = context.core.options.issuer;
  claims["jti"] = context.core.loop.random().uuid();
  claims["kubernetes.io"] = std::move(kubernetes);
  claims["sub"] = fmt::format("system:serviceaccount:{}:{}", write->ns, write->name);
  auto token = authenticator.keys().sign(Json(std::move(claims)));
  if (!token) co_return std::unexpected(token.error());
  set(*request, strings(audiences), "spec", "audiences");
  set(*request, Json(seconds), "spec", "expirationSeconds");
  JsonObject status{{"token", *token}};
  status["expirationTimestamp"] = rfc3339(WallTime{std::chrono::seconds(now + seconds)});
  set(*request, std::move(status), "status");
  set(*request, Json(write->name), "metadata", "name");
  set(*request, Json(write->ns), "metadata", "namespace");
  co_return json_response(201, *request);
}

}  // namespace rs::server
