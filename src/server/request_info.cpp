#include "server/request_info.h"

#include <algorithm>

namespace rs::server {
namespace {

Result<std::vector<std::string>> segments_of(std::string_view path) {
  std::vector<std::string> out;
  size_t begin = 0;
  while (begin < path.size()) {
    size_t end = path.find('/', begin);
    if (end == std::string_view::npos) end = path.size();
    if (end > begin) {
      auto segment = net::percent_decode(path.substr(begin, end - begin));
      if (!segment) return fail(Code::kBadRequest, "invalid URL escape in path");
      out.push_back(std::move(*segment));
    }
    begin = end + 1;
  }
  return out;
}

std::string verb_of(std::string_view method, bool named) {
  if (method == "POST") return "create";
  if (method == "GET" || method == "HEAD") return named ? "get" : "list";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return named ? "delete" : "deletecollection";
  return {};
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

// The name that a list or watch restricts itself to: authorization treats it like that of a get.
std::string selected_name(const net::Target& target) {
  std::string_view selector = target.param("fieldSelector");
  constexpr std::string_view kName = "metadata.name=";
  size_t at = selector.starts_with(kName) ? 0 : selector.find(",metadata.name=");
  if (at == std::string_view::npos) return {};
  if (at != 0) ++at;
  std::string_view value = selector.substr(at + kName.size());
  if (value.starts_with('=')) value.remove_prefix(1);
  return std::string(value.substr(0, value.find(',')));
}

// Behind /api/v1 or /apis/G/V.
void read_resource(RequestInfo& info, std::vector<std::string> parts, std::string_view method) {
  bool watch_prefix = parts.front() == "watch" && parts.size() > 1;
  if (watch_prefix) parts.erase(parts.begin());
  if (parts[0] == "namespaces" && parts.size() > 1) {
    info.ns = parts[1];
    // /namespaces/x, /namespaces/x/status and /namespaces/x/finalize are about the namespace itself.
    bool itself = parts.size() == 2 || (parts.size() == 3 && (parts[2] == "status" || parts[2] == "finalize"));
    if (!itself) parts.erase(parts.begin(), parts.begin() + 2);
  }
  info.is_resource = true;
  info.resource = parts[0];
  if (parts.size() > 1) info.name = parts[1];
  if (parts.size() > 2) info.subresource = parts[2];
  if (parts.size() > 3) info.rest.assign(parts.begin() + 3, parts.end());
  info.verb = verb_of(method, !info.name.empty());
  bool reads = info.verb == "get" || info.verb == "list";
  info.wants_watch = reads && info.subresource.empty() && (watch_prefix || is_true(info.target.param("watch")));
  if (info.wants_watch) info.verb = "watch";
  if (info.name.empty() && (info.verb == "list" || info.verb == "watch" || info.verb == "deletecollection"))
    info.name = selected_name(info.target);
}
}  // namespace

bool is_true(std::string_view text) {
  return text == "1" || text == "t" || text == "T" || text == "true" || text == "TRUE" || text == "True";
}

Result<RequestInfo> parse_request_info(std::string_view method, std::string_view target) {
  RequestInfo info;
  info.target = net::parse_target(target);
  auto parts = segments_of(info.target.path);
  if (!parts) return std::unexpected(parts.error());
  info.path = "/";
  for (const auto& part : *parts) info.path += (info.path.size() > 1 ? "/" : "") + part;
  info.verb = lower(method);
  if (parts->size() >= 3 && parts->at(0) == "api") {
    info.version = parts->at(1);
    read_resource(info, {parts->begin() + 2, parts->end()}, method);
  } else if (parts->size() >= 4 && parts->at(0) == "apis") {
    info.group = parts->at(1);
    info.version = parts->at(2);
    read_resource(info, {parts->begin() + 3, parts->end()}, method);
  }
  return info;
}

}  // namespace rs::server
