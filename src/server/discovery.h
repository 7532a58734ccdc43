// Discovery: which kinds are served, in the legacy documents and in the aggregated one (reference section A4). Pure.
#pragma once

#include "api/kind.h"
#include "net/http.h"
#include "server/request_info.h"


namespace rs::server {

class Discovery {
 public:
  explicit Discovery(const api::KindTable& kinds);
  // For /api, /apis and what is below them; null: not a path of discovery (or an unknown group).
  const std::string* document(std::string_view path) const;
  // The answer to GET path, with ETag and 304; nothing: not a path of discovery.
  std::optional<net::Response> answer(const net::Request& request, const RequestInfo& info) const;
  // "apps/v1", "v1": every group version, in order.
  const std::vector<std::pair<std::string, std::string>>& group_versions() const { return group_versions_; }
  // The server's address, in /api.
  void set_address(std::string address);

 private:
  struct Document {
    std::string body, etag;
  };
  Document aggregated(bool core, std::string_view version) const;
  void build();

  const api::KindTable& kinds_;
  std::vector<std::pair<std::string, std::string>> group_versions_;   // group, version
  std::map<std::string, std::string, std::less<>> documents_;
  std::map<std::string, Document, std::less<>> aggregated_;           // "core/v2", "groups/v2beta1" …
};

}  // namespace rs::server
