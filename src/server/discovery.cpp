#include "server/discovery.h"

#include "server/encoding.h"
#include "server/negotiate.h"
#include "server/status.h"

namespace rs::server {
namespace {

JsonArray strings(const std::vector<std::string>& values) {
  JsonArray out;
  for (const std::string& value : values) out.emplace_back(value);
  return out;
}

JsonObject group_version_json(std::string_view group, std::string_view version) {
  return {{"groupVersion", api::group_version(group, version)}, {"version", version}};
}

// discovery/storageversionhash.go
std::string storage_version_hash(const api::Kind& kind) {
  return base64(sha256(fmt::format("{}/{}/{}", kind.group, kind.version, kind.kind)).substr(0, 8));
}

Json legacy_resource(const api::Kind& kind) {
  JsonObject out;
  out["name"] = kind.plural;
  out["singularName"] = kind.singular;
  out["namespaced"] = kind.namespaced;
  out["kind"] = kind.kind;
  out["verbs"] = strings(kind.verbs);
  if (!kind.short_names.empty()) out["shortNames"] = strings(kind.short_names);
  if (!kind.categories.empty()) out["categories"] = strings(kind.categories);
  if (kind.stored) out["storageVersionHash"] = storage_version_hash(kind);
  return out;
}

Json legacy_subresource(const api::Kind& kind, const api::Subresource& sub) {
  JsonObject out;
  out["name"] = kind.plural + "/" + sub.name;
  out["singularName"] = "";
  out["namespaced"] = kind.namespaced;
  if (!sub.kind.empty() && (sub.group != kind.group || sub.version != kind.version)) {
    out["group"] = sub.group;
    out["version"] = sub.version;
  }
  out["kind"] = sub.kind.empty() ? kind.kind : sub.kind;
  out["verbs"] = strings(sub.verbs);
  return out;
}

JsonObject response_kind(std::string_view group, std::string_view version, std::string_view kind) {
  return {{"group", group}, {"version", version}, {"kind", kind}};
}

Json aggregated_resource(const api::Kind& kind) {
  JsonObject out;
  out["resource"] = kind.plural;
  out["responseKind"] = response_kind(kind.group, kind.version, kind.kind);
  out["scope"] = kind.namespaced ? "Namespaced" : "Cluster";
  out["singularResource"] = kind.singular;
  out["verbs"] = strings(kind.verbs);
  if (!kind.short_names.empty()) out["shortNames"] = strings(kind.short_names);
  if (!kind.categories.empty()) out["categories"] = strings(kind.categories);
  JsonArray subs;
  for (const auto& sub : kind.subresources) {
    JsonObject item;
    item["subresource"] = sub.name;
    item["responseKind"] = sub.kind.empty() ? response_kind(kind.group, kind.version, kind.kind)
                                            : response_kind(sub.group, sub.version, sub.kind);
    item["verbs"] = strings(sub.verbs);
    subs.push_back(std::move(item));
  }
  if (!subs.empty()) out["subresources"] = std::move(subs);
  return out;
}

// v2 or v2beta1 when a clause of Accept asks for aggregated discovery.
std::string aggregated_version(const net::Headers& headers) {
  for (std::string_view header : headers.all("Accept"))
    for (const MediaClause& clause : parse_accept(header)) {
      std::string_view version = clause.parameter("v");
      if (clause.type == "application/json" && clause.parameter("g") == "apidiscovery.k8s.io" &&
          clause.parameter("as") == "APIGroupDiscoveryList" && (version == "v2" || version == "v2beta1"))
        return std::string(version);
      if (clause.type == "application/json" && clause.parameters.empty()) return {};
    }
  return {};
}
}  // namespace

Discovery::Discovery(const api::KindTable& kinds) : kinds_(kinds) {
  for (const auto& kind : kinds.all()) {
    std::pair entry(kind->group, kind->version);
    if (std::find(group_versions_.begin(), group_versions_.end(), entry) == group_versions_.end())
      group_versions_.push_back(std::move(entry));
  }
  build();
}

void Discovery::set_address(std::string address) {
  JsonObject by_cidr{{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", address}};
  JsonObject versions{{"kind", "APIVersions"}, {"versions", JsonArray{Json("v1")}}};
  versions["serverAddressByClientCIDRs"] = JsonArray{std::move(by_cidr)};
  documents_["/api"] = to_text(versions) + "\n";
}

void Discovery::build() {
  JsonArray groups;
  std::map<std::string, size_t> index;
  for (const auto& [group, version] : group_versions_) {
    JsonArray resources;
    for (const auto& kind : kinds_.all()) {
      if (kind->group != group || kind->version != version) continue;
      resources.push_back(legacy_resource(*kind));
      for (const auto& sub : kind->subresources) resources.push_back(legacy_subresource(*kind, sub));
    }
    JsonObject list{{"kind", "APIResourceList"}, {"apiVersion", "v1"}};
    list["groupVersion"] = api::group_version(group, version);
    list["resources"] = std::move(resources);
    std::string path = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
    documents_[path] = to_text(list) + "\n";
    if (group.empty()) continue;
    auto [at, added] = index.emplace(group, groups.size());
    if (added) {
      JsonObject item{{"name", group}, {"versions", JsonArray()}};
      item["preferredVersion"] = group_version_json(group, version);
      groups.push_back(std::move(item));
    }
    groups[at->second].as_object()["versions"].as_array().push_back(group_version_json(group, version));
  }
  for (const Json& group : groups) {
    JsonObject document{{"kind", "APIGroup"}, {"apiVersion", "v1"}};
    for (const auto& [name, value] : group.as_object()) document[name] = value;
    documents_["/apis/" + std::string(str(group, "name"))] = to_text(document) + "\n";
  }
  documents_["/apis"] =
      to_text(JsonObject{{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}}) + "\n";
  set_address("");
  for (const char* version : {"v2", "v2beta1"}) {
    aggregated_[std::string("/api ") + version] = aggregated(true, version);
    aggregated_[std::string("/apis ") + version] = aggregated(false, version);
  }
}

Discovery::Document Discovery::aggregated(bool core, std::string_view version) const {
  JsonArray items;
  std::string last = "\n";
  for (const auto& [group, group_version] : group_versions_) {
    if (group.empty() != core) continue;
    if (group != last) {
      JsonObject metadata;
      if (!group.empty()) metadata["name"] = group;
      metadata["creationTimestamp"] = nullptr;
      items.push_back(JsonObject{{"metadata", std::move(metadata)}, {"versions", JsonArray()}});
      last = group;
    }
    JsonArray resources;
    for (const auto& kind : kinds_.all())
      if (kind->group == group && kind->version == group_version) resources.push_back(aggregated_resource(*kind));
    JsonObject entry{{"version", group_version}};
    entry["resources"] = std::move(resources);
    entry["freshness"] = "Current";
    items.back().as_object()["versions"].as_array().push_back(std::move(entry));
  }
  JsonObject list{{"kind", "APIGroupDiscoveryList"}, {"apiVersion", fmt::format("apidiscovery.k8s.io/{}", version)}};
  list["metadata"] = JsonObject();
  list["items"] = std::move(items);
  Document document{to_text(list) + "\n", {}};
  document.etag = "\"" + sha512_hex(document.body) + "\"";
  return document;
}

const std::string* Discovery::document(std::string_view path) const {
  auto it = documents_.find(path);
  return it == documents_.end() ? nullptr : &it->second;
}

std::optional<net::Response> Discovery::answer(const net::Request& request, const RequestInfo& info) const {
  const std::string* legacy = document(info.path);
  if (legacy == nullptr) return std::nullopt;
  if (request.method != "GET" && request.method != "HEAD") return status_response(method_not_allowed());
  bool both = info.path == "/api" || info.path == "/apis";
  std::string version = both ? aggregated_version(request.headers) : std::string();
  if (version.empty()) {
    net::Response response = json_response(200, *legacy);
    if (both) response.headers.add("Vary", "Accept");
    return response;
  }
  const Document& document = aggregated_.at(fmt::format("{} {}", info.path, version));
  net::Response response;
  response.headers.add("ETag", document.etag);
  response.headers.add("Vary", "Accept");
  response.headers.add("Cache-Control", "public");
  if (request.headers.get("If-None-Match") == document.etag) {
    response.status = 304;
    return response;
  }
  response.headers.add("Content-Type",
                       fmt::format("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList", version));
  response.body = document.body;
  return response;
}

}  // namespace rs::server
