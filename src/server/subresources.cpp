#include "server/subresources.h"

namespace rs::server {
namespace {
struct Entry {
  std::string_view plural, subresource;   // plural empty: any
  ResourceHandler handler;
};
constexpr Entry kEntries[] = {
    {"", "scale", handle_scale},
    {"pods", "binding", handle_binding},
    {"bindings", "", handle_binding},
    {"pods", "eviction", handle_eviction},
};
}  // namespace

ResourceHandler subresource_handler(const api::Kind& kind, const RequestInfo& info) {
  if (info.subresource.empty() && kind.stored) return nullptr;
  for (const Entry& entry : kEntries)
    if ((entry.plural.empty() || entry.plural == kind.plural) && entry.subresource == info.subresource) return entry.handler;
  return nullptr;
}

net::Response created_status() {
  JsonObject out{{"kind", "Status"}, {"apiVersion", "v1"}};
  out["metadata"] = JsonObject();
  out["status"] = "Success";
  out["code"] = 201;
  return json_response(201, out);
}

}  // namespace rs::server
