// What a request asks for, read from its method and URL (reference section A1; apiserver request/requestinfo.go). Pure.
#pragma once

#include <string>
#include <vector>

#include "net/http.h"

namespace rs::server {

struct RequestInfo {
  bool is_resource = false;          // below /api/v1 or /apis/G/V with a resource
  std::string path;                  // decoded
  std::string verb;                  // get list watch create update patch delete deletecollection; else the method in lower case
  std::string group, version;
  std::string ns, resource, name, subresource;
  std::vector<std::string> rest;     // segments behind the subresource (proxy paths)
  net::Target target;                // path as sent, decoded query
  bool wants_watch = false;
};

// kBadRequest for a path that cannot be decoded.
Result<RequestInfo> parse_request_info(std::string_view method, std::string_view target);

// "1", "true" … as Go's strconv.ParseBool; anything else is false.
bool is_true(std::string_view text);

}  // namespace rs::server
