// Errors as Kubernetes Status objects (metav1.Status; reference section A8), and the errors that name a resource. Pure.
#pragma once

#include "api/kind.h"
#include "net/http.h"

namespace rs::server {

int http_status(Code code);
// {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":…,"reason":…,"details":{…},"code":…}
Json status_json(const Error& error);
net::Response status_response(const Error& error);
net::Response json_response(int status, std::string body);
net::Response json_response(int status, const Json& body);
// The answer to a DELETE that removed the object at once.
Json success_status(const api::Kind& kind, std::string_view name, std::string_view uid);

// Details name the resource (plural) and its group.
Error resource_error(Code code, const api::Kind& kind, std::string_view name, std::string message);
Error not_found(const api::Kind& kind, std::string_view name);             // pods "x" not found
Error already_exists(const api::Kind& kind, std::string_view name);
Error conflict(const api::Kind& kind, std::string_view name, std::string_view why = {});
Error forbidden(const api::Kind& kind, std::string_view name, std::string_view why);
Error unknown_resource();   // the server could not find the requested resource
Error method_not_allowed();
// "deployments.apps", "pods": how messages name a resource.
std::string qualified(const api::Kind& kind);

}  // namespace rs::server
