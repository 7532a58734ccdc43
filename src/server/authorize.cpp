#include "server/authorize.h"

#include "api/meta.h"
#include "api/selector.h"

namespace rs::server {
namespace {
constexpr std::string_view kRbac = "rbac.authorization.k8s.io";
constexpr const char* kKinds[] = {"clusterroles", "clusterrolebindings", "roles", "rolebindings"};

bool has(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}
bool has_or_all(const std::vector<std::string>& list, std::string_view value) { return has(list, value) || has(list, "*"); }

std::vector<std::string> strings(const JsonArray& array) {
  std::vector<std::string> out;
  for (const Json& value : array)
    if (value.is_string()) out.emplace_back(value.get_string());
  return out;
}

bool path_fits(const std::vector<std::string>& patterns, std::string_view path) {
  for (std::string_view pattern : patterns) {
    if (pattern == "*" || pattern == path) return true;
    if (pattern.ends_with('*') && path.starts_with(pattern.substr(0, pattern.size() - 1))) return true;
  }
  return false;
}

std::string subject_key(const Json& subject, std::string_view ns) {
  std::string_view kind = str(subject, "kind"), name = str(subject, "name");
  if (kind == "ServiceAccount") {
    std::string_view own = str(subject, "namespace");
    return fmt::format("User/system:serviceaccount:{}:{}", own.empty() ? ns : own, name);
  }
  return fmt::format("{}/{}", kind, name);
}
}  // namespace

AccessRequest access_request(const RequestInfo& info) {
  return {.verb = info.verb, .is_resource = info.is_resource, .group = info.group, .resource = info.resource,
          .subresource = info.subresource, .ns = info.ns, .name = info.name, .path = info.path};
}

bool PolicyRule::allows(const AccessRequest& request) const {
  if (!has_or_all(verbs, request.verb)) return false;
  if (!request.is_resource) return path_fits(paths, request.path);
  if (!has_or_all(groups, request.group)) return false;
  std::string full = request.subresource.empty() ? request.resource : request.resource + "/" + request.subresource;
  bool resource = has_or_all(resources, full) ||
                  (!request.subresource.empty() && has(resources, "*/" + request.subresource));
  return resource && (names.empty() || has(names, request.name));
}

std::vector<PolicyRule> parse_rules(const JsonArray& rules) {
  std::vector<PolicyRule> out;
  for (const Json& rule : rules)
    out.push_back({strings(array(rule, "verbs")), strings(array(rule, "apiGroups")), strings(array(rule, "resources")),
                   strings(array(rule, "resourceNames")), strings(array(rule, "nonResourceURLs"))});
  return out;
}

void Authorizer::add_binding(const Json& binding, std::string_view ns, const std::map<std::string, Rules>& roles) {
  std::string_view kind = str(binding, "roleRef", "kind"), name = str(binding, "roleRef", "name");
  auto role = roles.find(kind == "ClusterRole" ? fmt::format("/{}", name) : fmt::format("{}/{}", ns, name));
  if (role == roles.end()) return;
  for (const Json& subject : array(binding, "subjects"))
    grants_[subject_key(subject, ns)].push_back({std::string(ns), role->second});
}

void Authorizer::refresh() {
  std::shared_ptr<ResourceCache> caches[4];
  std::vector<uint64_t> sequences;
  for (int i = 0; i < 4; ++i) {
    caches[i] = core_.resource(kRbac, kKinds[i]);
    sequences.push_back(caches[i] == nullptr ? 0 : caches[i]->last_sequence());
  }
  if (sequences == built_from_ && !built_from_.empty()) return;
  built_from_ = std::move(sequences);
  grants_.clear();
  std::map<std::string, Rules> roles;   // "/cluster-role", "ns/role"
  std::vector<Json> cluster_roles;
  if (caches[0] != nullptr)
    for (const auto& [key, object] : caches[0]->objects()) cluster_roles.push_back(object->tree());
  for (const Json& role : cluster_roles) {
    auto rules = parse_rules(array(role, "rules"));
    // Aggregated roles are the sum of what their selectors choose, at once and whether a controller runs or not.
    for (const Json& selector : array(role, "aggregationRule", "clusterRoleSelectors")) {
      auto parsed = api::LabelSelector::from_json(&selector);
      for (const Json& other : cluster_roles)
        if (parsed && parsed->matches_object(other))
          for (PolicyRule& rule : parse_rules(array(other, "rules"))) rules.push_back(std::move(rule));
    }
    roles[fmt::format("/{}", api::name_of(role))] = std::make_shared<const std::vector<PolicyRule>>(std::move(rules));
  }
  if (caches[2] != nullptr)
    for (const auto& [key, object] : caches[2]->objects())
      roles[key] = std::make_shared<const std::vector<PolicyRule>>(parse_rules(array(object->tree(), "rules")));
  for (int i : {1, 3}) {
    if (caches[i] == nullptr) continue;
    for (const auto& [key, object] : caches[i]->objects()) add_binding(object->tree(), object->ns(), roles);
  }
}

std::vector<const Authorizer::Grant*> Authorizer::grants_of(const UserInfo& user) const {
  std::vector<const Grant*> out;
  auto add = [&](const std::string& key) {
    auto it = grants_.find(key);
    if (it == grants_.end()) return;
    for (const Grant& grant : it->second) out.push_back(&grant);
  };
  add("User/" + user.name);
  for (const std::string& group : user.groups) add("Group/" + group);
  return out;
}

bool Authorizer::allows(const UserInfo& user, const AccessRequest& request) {
  if (!core_.options.authorize || user.in_group(kMasters)) return true;
  refresh();
  for (const Grant* grant : grants_of(user)) {
    if (!grant->ns.empty() && (!request.is_resource || grant->ns != request.ns)) continue;
    for (const PolicyRule& rule : *grant->rules)
      if (rule.allows(request)) return true;
  }
  return false;
}

std::vector<PolicyRule> Authorizer::rules_of(const UserInfo& user, std::string_view ns) {
  refresh();
  std::vector<PolicyRule> out;
  if (user.in_group(kMasters)) {
    out.push_back({{"*"}, {"*"}, {"*"}, {}, {}});
    out.push_back({{"*"}, {}, {}, {}, {"*"}});
  }
  for (const Grant* grant : grants_of(user))
    if (grant->ns.empty() || grant->ns == ns) out.insert(out.end(), grant->rules->begin(), grant->rules->end());
  return out;
}

bool Authorizer::covers(const UserInfo& user, std::string_view ns, const PolicyRule& rule) {
  if (user.in_group(kMasters) || !core_.options.authorize) return true;
  AccessRequest request;
  request.ns = ns;
  std::vector<std::string> names = rule.names.empty() ? std::vector<std::string>{""} : rule.names;
  for (const std::string& verb : rule.verbs) {
    request.verb = verb;
    request.is_resource = false;
    for (const std::string& path : rule.paths) {
      request.path = path;
      if (!allows(user, request)) return false;
    }
    request.is_resource = true;
    for (const std::string& group : rule.groups)
      for (const std::string& resource : rule.resources)
        for (const std::string& name : names) {
          size_t slash = resource.find('/');
          request.group = group;
          request.resource = resource.substr(0, slash);
          request.subresource = slash == std::string::npos ? "" : resource.substr(slash + 1);
          request.name = name;
          if (!allows(user, request)) return false;
        }
  }
  return true;
}

Error denied(const UserInfo& user, const AccessRequest& request) {
  auto details = std::make_shared<ErrorDetails>();
  if (!request.is_resource)
    return Error{Code::kForbidden, fmt::format("forbidden: User \"{}\" cannot {} path \"{}\"", user.name, request.verb,
                                               request.path), details};
  details->group = request.group;
  details->kind = request.resource;
  details->name = request.name;
  std::string qualified = request.group.empty() ? request.resource : request.resource + "." + request.group;
  std::string what = request.name.empty() ? qualified : fmt::format("{} \"{}\"", qualified, request.name);
  std::string full = request.subresource.empty() ? request.resource : request.resource + "/" + request.subresource;
  std::string where = request.ns.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", request.ns);
  return Error{Code::kForbidden,
               fmt::format("{} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}", what, user.name,
                           request.verb, full, request.group, where), details};
}

}  // namespace rs::server
