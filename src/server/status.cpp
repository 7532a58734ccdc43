#include "server/status.h"

namespace rs::server {
namespace {
std::string_view reason(Code code) {
  switch (code) {
    case Code::kUnavailable: return "ServiceUnavailable";
    case Code::kOutOfRange: return "Expired";
    case Code::kFailedPrecondition: return "Conflict";
    case Code::kCancelled: return "Timeout";
    case Code::kDataLoss:
    case Code::kResourceExhausted: return "InternalError";
    case Code::kUnimplemented: return "MethodNotAllowed";
    default: return to_string(code);
  }
}

JsonObject details_json(const ErrorDetails& details) {
  JsonObject out;
  if (!details.name.empty()) out["name"] = details.name;
  if (!details.group.empty()) out["group"] = details.group;
  if (!details.kind.empty()) out["kind"] = details.kind;
  if (!details.uid.empty()) out["uid"] = details.uid;
  if (!details.causes.empty()) {
    JsonArray causes;
    for (const auto& cause : details.causes) {
      JsonObject item;
      if (!cause.reason.empty()) item["reason"] = cause.reason;
      if (!cause.message.empty()) item["message"] = cause.message;
      if (!cause.field.empty()) item["field"] = cause.field;
      causes.push_back(std::move(item));
    }
    out["causes"] = std::move(causes);
  }
  if (details.retry_after_seconds > 0) out["retryAfterSeconds"] = details.retry_after_seconds;
  return out;
}
}  // namespace

int http_status(Code code) {
  switch (code) {
    case Code::kBadRequest: return 400;
    case Code::kUnauthorized: return 401;
    case Code::kForbidden: return 403;
    case Code::kNotFound: return 404;
    case Code::kMethodNotAllowed:
    case Code::kUnimplemented: return 405;
    case Code::kNotAcceptable: return 406;
    case Code::kAlreadyExists:
    case Code::kConflict:
    case Code::kFailedPrecondition: return 409;
    case Code::kGone:
    case Code::kExpired:
    case Code::kOutOfRange: return 410;
    case Code::kRequestEntityTooLarge: return 413;
    case Code::kUnsupportedMediaType: return 415;
    case Code::kInvalid: return 422;
    case Code::kTooManyRequests: return 429;
    case Code::kServiceUnavailable:
    case Code::kUnavailable: return 503;
    case Code::kTimeout:
    case Code::kCancelled: return 504;
    case Code::kInternalError:
    case Code::kDataLoss:
    case Code::kResourceExhausted: return 500;
  }
  return 500;
}

Json status_json(const Error& error) {
  JsonObject out;
  out["kind"] = "Status";
  out["apiVersion"] = "v1";
  out["metadata"] = JsonObject();
  out["status"] = "Failure";
  if (!error.message.empty()) out["message"] = to_string(error);
  out["reason"] = reason(error.code);
  if (error.details != nullptr) {
    JsonObject details = details_json(*error.details);
    if (!details.empty()) out["details"] = std::move(details);
  }
  out["code"] = http_status(error.code);
  return out;
}

net::Response json_response(int status, std::string body) {
  net::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

net::Response json_response(int status, const Json& body) { return json_response(status, to_text(body) + '\n'); }

net::Response status_response(const Error& error) {
  net::Response response = json_response(http_status(error.code), status_json(error));
  int retry = error.details == nullptr ? 0 : error.details->retry_after_seconds;
  if (retry == 0 && (error.code == Code::kTooManyRequests || error.code == Code::kServiceUnavailable)) retry = 1;
  if (retry > 0) response.headers.add("Retry-After", std::to_string(retry));
  return response;
}

Json success_status(const api::Kind& kind, std::string_view name, std::string_view uid) {
  JsonObject details;
  details["name"] = name;
  if (!kind.group.empty()) details["group"] = kind.group;
  details["kind"] = kind.plural;
  if (!uid.empty()) details["uid"] = uid;
  JsonObject out;
  out["kind"] = "Status";
  out["apiVersion"] = "v1";
  out["metadata"] = JsonObject();
  out["status"] = "Success";
  out["details"] = std::move(details);
  return out;
}

std::string qualified(const api::Kind& kind) {
  return kind.group.empty() ? kind.plural : kind.plural + "." + kind.group;
}

Error resource_error(Code code, const api::Kind& kind, std::string_view name, std::string message) {
  auto details = std::make_shared<ErrorDetails>();
  details->kind = kind.plural;
  details->group = kind.group;
  details->name = name;
  return Error{code, std::move(message), std::move(details)};
}

Error not_found(const api::Kind& kind, std::string_view name) {
  return resource_error(Code::kNotFound, kind, name, fmt::format("{} \"{}\" not found", qualified(kind), name));
}
Error already_exists(const api::Kind& kind, std::string_view name) {
  return resource_error(Code::kAlreadyExists, kind, name, fmt::format("{} \"{}\" already exists", qualified(kind), name));
}
Error conflict(const api::Kind& kind, std::string_view name, std::string_view why) {
  if (why.empty())
    why = "the object has been modified; please apply your changes to the latest version and try again";
  return resource_error(Code::kConflict, kind, name,
                        fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", qualified(kind), name, why));
}
Error forbidden(const api::Kind& kind, std::string_view name, std::string_view why) {
  std::string what = name.empty() ? qualified(kind) : fmt::format("{} \"{}\"", qualified(kind), name);
  return resource_error(Code::kForbidden, kind, name, fmt::format("{} is forbidden: {}", what, why));
}
Error unknown_resource() {
  return Error{Code::kNotFound, "the server could not find the requested resource", std::make_shared<ErrorDetails>()};
}
Error method_not_allowed() {
  return Error{Code::kMethodNotAllowed, "the server does not allow this method on the requested resource"};
}

}  // namespace rs::server
