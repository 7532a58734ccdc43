// What is served beside resources: discovery, version, health, OpenAPI, metrics, keys of tokens (reference A4 to A6).
#pragma once

#include "server/core.h"
#include "server/discovery.h"

namespace rs::server {

class NonResource {
 public:
  NonResource(Core& core, const bool& ready);
  // kNotFound for an unknown path (as the client's text "404 page not found" becomes).
  Result<net::Response> answer(const net::Request& request, const RequestInfo& info);
  const Discovery& discovery() const { return discovery_; }
  // JSON Web Keys that verify ServiceAccount tokens, for /openid/v1/jwks.
  void set_keys(Json jwks) { keys_ = std::move(jwks); }

 private:
  struct OpenApiDocument {
    std::string body, hash;
  };
  net::Response health(const RequestInfo& info) const;
  Result<net::Response> openapi_v3(const net::Request& request, const RequestInfo& info);
  const OpenApiDocument& openapi_document(const std::string& key);
  net::Response version() const;
  net::Response paths() const;

  Core& core_;
  const bool& ready_;
  Discovery discovery_;
  std::map<std::string, OpenApiDocument> openapi_;   // "apis/apps/v1"; built on first use
  Json keys_;
};

}  // namespace rs::server
