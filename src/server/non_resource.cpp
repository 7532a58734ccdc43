#include "server/non_resource.h"

#include "api/openapi.h"
#include "server/encoding.h"

namespace rs::server {
namespace {
constexpr Duration kStaleLimit = std::chrono::seconds(15);

net::Response text_response(int status, std::string body) {
  net::Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.headers.add("X-Content-Type-Options", "nosniff");
  response.body = std::move(body);
  return response;
}

bool is_health(std::string_view path) {
  for (std::string_view root : {"/livez", "/readyz", "/healthz"})
    if (path == root || (path.starts_with(root) && path.substr(root.size()).starts_with('/'))) return true;
  return false;
}

// What the OpenAPI list of group versions calls them: "api/v1", "apis/apps/v1".
std::string openapi_key(const std::pair<std::string, std::string>& group_version) {
  const auto& [group, version] = group_version;
  return group.empty() ? "api/" + version : fmt::format("apis/{}/{}", group, version);
}
}  // namespace

NonResource::NonResource(Core& core, const bool& ready) : core_(core), ready_(ready), discovery_(core.kinds) {
  discovery_.set_address(fmt::format("{}:{}", core.options.advertise_address, core.options.advertise_port));
}

Result<net::Response> NonResource::answer(const net::Request& request, const RequestInfo& info) {
  if (auto found = discovery_.answer(request, info)) return std::move(*found);
  if (is_health(info.path)) return health(info);
  if (request.method != "GET" && request.method != "HEAD") {
    if (info.path.starts_with("/api")) return fail(unknown_resource());
    return text_response(404, "404 page not found\n");
  }
  if (info.path == "/version" || info.path == "/version/") return version();
  if (info.path == "/") return paths();
  if (info.path.starts_with("/openapi/v3")) return openapi_v3(request, info);
  if (info.path == "/metrics" && core_.options.metrics != nullptr) {
    net::Response response = text_response(200, core_.options.metrics->text());
    response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    return response;
  }
  if (info.path == "/openid/v1/jwks" && keys_.is_object()) {
    net::Response response = json_response(200, keys_);
    response.headers.set("Content-Type", "application/jwk-set+json");
    return response;
  }
  if (info.path == "/.well-known/openid-configuration" && keys_.is_object()) {
    JsonObject out{{"issuer", core_.options.issuer}, {"jwks_uri", core_.options.issuer + "/openid/v1/jwks"}};
    out["response_types_supported"] = JsonArray{Json("id_token")};
    out["subject_types_supported"] = JsonArray{Json("public")};
    out["id_token_signing_alg_values_supported"] = JsonArray{str(array(keys_, "keys").at(0), "alg")};
    return json_response(200, out);
  }
  if (info.path.starts_with("/apis/") || info.path.starts_with("/api/")) return fail(unknown_resource());
  return text_response(404, "404 page not found\n");
}

net::Response NonResource::health(const RequestInfo& info) const {
  struct Check {
    std::string_view name;
    bool passes;
  };
  std::vector<Check> checks{{"ping", true}, {"store", core_.cache.age() < kStaleLimit}};
  if (!info.path.starts_with("/livez")) checks.push_back({"poststarthook/start-apiserver", ready_});
  size_t slash = info.path.find('/', 1);
  std::string_view only = slash == std::string::npos ? std::string_view() : std::string_view(info.path).substr(slash + 1);
  std::vector<std::string> excluded = info.target.params("exclude");
  bool passes = true, known = only.empty();
  std::string lines;
  for (const Check& check : checks) {
    if (!only.empty() && check.name != only) continue;
    known = true;
    if (std::find(excluded.begin(), excluded.end(), check.name) != excluded.end()) {
      lines += fmt::format("[+]{} excluded: ok\n", check.name);
      continue;
    }
    lines += check.passes ? fmt::format("[+]{} ok\n", check.name)
                          : fmt::format("[-]{} failed: reason withheld\n", check.name);
    passes &= check.passes;
  }
  if (!known) return text_response(404, "404 page not found\n");
  std::string root = info.path.substr(1, slash == std::string::npos ? std::string::npos : slash - 1);
  if (!passes) return text_response(500, fmt::format("{}{} check failed\n", lines, root));
  if (info.target.has_param("verbose")) return text_response(200, fmt::format("{}{} check passed\n", lines, root));
  return text_response(200, "ok");
}

net::Response NonResource::version() const {
  const ApiServerOptions& options = core_.options;
  JsonObject out{{"major", "1"}, {"minor", "32"}};
  out["gitVersion"] = options.version;
  out["gitCommit"] = options.git_commit;
  out["gitTreeState"] = "clean";
  out["buildDate"] = options.build_date;
  out["goVersion"] = "go1.23.6";   // clients parse the whole document; there is no Go here
  out["compiler"] = "gc";
  out["platform"] = "linux/amd64";
  return json_response(200, to_pretty_text(out) + "\n");
}

net::Response NonResource::paths() const {
  JsonArray out{Json("/.well-known/openid-configuration"), Json("/api"), Json("/api/v1"), Json("/apis")};
  std::string last;
  for (const auto& [group, version] : discovery_.group_versions()) {
    if (group.empty()) continue;
    if (group != last) out.emplace_back("/apis/" + group);
    out.emplace_back(fmt::format("/apis/{}/{}", group, version));
    last = group;
  }
  for (const char* path : {"/healthz", "/livez", "/metrics", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"})
    out.emplace_back(path);
  return json_response(200, JsonObject{{"paths", std::move(out)}});
}

const NonResource::OpenApiDocument& NonResource::openapi_document(const std::string& key) {
  auto it = openapi_.find(key);
  if (it != openapi_.end()) return it->second;
  OpenApiDocument document;
  for (const auto& group_version : discovery_.group_versions())
    if (openapi_key(group_version) == key)
      document.body = to_text(api::openapi_v3(core_.kinds, group_version.first, group_version.second));
  document.hash = sha512_hex(document.body);
  return openapi_.emplace(key, std::move(document)).first->second;
}

Result<net::Response> NonResource::openapi_v3(const net::Request& request, const RequestInfo& info) {
  constexpr std::string_view kRoot = "/openapi/v3";
  constexpr std::string_view kProto = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
  std::string_view accept = request.headers.get("Accept");
  if (!accept.empty() && accept.find("json") == std::string_view::npos && accept.find("*/*") == std::string_view::npos) {
    bool proto = accept.find(kProto) != std::string_view::npos;
    return fail(Code::kNotAcceptable, "only the following media types are accepted: application/json{}",
                proto ? " (protobuf is not served)" : "");
  }
  if (info.path == kRoot) {
    JsonObject paths;
    for (const auto& group_version : discovery_.group_versions()) {
      std::string key = openapi_key(group_version);
      std::string url = fmt::format("{}/{}?hash={}", kRoot, key, openapi_document(key).hash);
      paths[key] = JsonObject{{"serverRelativeURL", std::move(url)}};
    }
    return json_response(200, JsonObject{{"paths", std::move(paths)}});
  }
  std::string key = info.path.substr(std::min(info.path.size(), kRoot.size() + 1));
  const auto& known = discovery_.group_versions();
  if (std::none_of(known.begin(), known.end(), [&](const auto& each) { return openapi_key(each) == key; }))
    return text_response(404, "404 page not found\n");
  const OpenApiDocument& document = openapi_document(key);
  std::string_view hash = info.target.param("hash");
  if (!hash.empty() && hash != document.hash) {
    net::Response moved = text_response(301, "");
    moved.headers.add("Location", fmt::format("{}/{}?hash={}", kRoot, key, document.hash));
    return moved;
  }
  net::Response response = json_response(200, document.body);
  response.headers.add("ETag", "\"" + document.hash + "\"");
  response.headers.add("Vary", "Accept");
  if (!hash.empty()) response.headers.add("Cache-Control", "public, immutable");
  if (request.headers.get("If-None-Match") == "\"" + document.hash + "\"") {
    response.status = 304;
    response.body.clear();
  }
  return response;
}

}  // namespace rs::server
