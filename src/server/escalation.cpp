#include "server/escalation.h"

namespace rs::server {
namespace {
constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

bool may(Authorizer& authorizer, const Write& write, std::string_view verb, std::string_view resource, std::string_view name) {
  AccessRequest request;
  request.verb = verb;
  request.group = kGroup;
  request.resource = resource;
  request.ns = resource == "roles" ? write.ns : "";
  request.name = name;
  return authorizer.allows(write.user, request);
}

Result<void> covers_all(Authorizer& authorizer, const Write& write, const std::vector<PolicyRule>& rules) {
  for (const PolicyRule& rule : rules) {
    if (authorizer.covers(write.user, write.ns, rule)) continue;
    return fail(forbidden(*write.kind, write.name,
                          fmt::format("user \"{}\" (groups=[\"{}\"]) is attempting to grant RBAC permissions not currently "
                                      "held:\n{{APIGroups:[\"{}\"], Resources:[\"{}\"], Verbs:[\"{}\"]}}",
                                      write.user.name, fmt::join(write.user.groups, "\" \""), fmt::join(rule.groups, "\" \""),
                                      fmt::join(rule.resources, "\" \""), fmt::join(rule.verbs, "\" \""))));
  }
  return {};
}
}  // namespace

Result<void> check_escalation(Core& core, Authorizer& authorizer, const Write& write, const Json& object, const Json* old) {
  if (write.kind->group != kGroup || write.user.in_group(kMasters)) return {};
  const std::string& plural = write.kind->plural;
  auto same = [&](std::string_view field) {
    return old != nullptr && find(object, field) != nullptr && find(*old, field) != nullptr && *find(object, field) == *find(*old, field);
  };
  if (plural == "roles" || plural == "clusterroles") {
    if ((same("rules") && find(object, "aggregationRule") == nullptr) || may(authorizer, write, "escalate", plural, write.name))
      return {};
    // What an aggregated role will give is not known in advance: it takes a cluster administrator.
    if (find(object, "aggregationRule") != nullptr && !same("aggregationRule")) {
      auto all = covers_all(authorizer, write, {{{"*"}, {"*"}, {"*"}, {}, {}}, {{"*"}, {}, {}, {}, {"*"}}});
      if (!all) return all;
    }
    return covers_all(authorizer, write, parse_rules(array(object, "rules")));
  }
  if (same("subjects") && same("roleRef")) return {};
  std::string_view kind = str(object, "roleRef", "kind"), name = str(object, "roleRef", "name");
  std::string_view resource = kind == "ClusterRole" ? "clusterroles" : "roles";
  if (may(authorizer, write, "bind", resource, name)) return {};
  ObjectPtr role = core.find(kGroup, resource, resource == "roles" ? write.ns : "", name);
  if (role == nullptr)
    return fail(Code::kNotFound, "{}.{} \"{}\" not found", resource, kGroup, name);
  return covers_all(authorizer, write, parse_rules(array(role->tree(), "rules")));
}

}  // namespace rs::server
