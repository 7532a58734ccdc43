// The roles and bindings a cluster starts with (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go), as text:
// "verbs groups resources", comma separated, or "verbs paths" for URLs. "core" is the group "".
#include "server/bootstrap_roles.h"

namespace rs::server {
namespace {
constexpr const char* kApiVersion = "rbac.authorization.k8s.io/v1";
constexpr const char* kGroup = "rbac.authorization.k8s.io";
constexpr const char* kBootstrapLabel = "kubernetes.io/bootstrapping";

struct RoleRow {
  std::string_view name;
  std::vector<std::string_view> rules;
  std::string_view aggregate_to;   // admin, edit, view: the label
};


const std::vector<std::string_view>& view_rules() {
  static const std::vector<std::string_view> kRules = {
      "get,list,watch core configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,"
      "replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status",
      "get,list,watch core bindings,events,limitranges,namespaces/status,pods/log,pods/status,"
      "replicationcontrollers/status,resourcequotas,resourcequotas/status",
      "get,list,watch core namespaces",
      "get,list,watch discovery.k8s.io endpointslices",
      "get,list,watch apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,"
      "deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,"
      "statefulsets/status",
      "get,list,watch autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status",
      "get,list,watch batch cronjobs,cronjobs/status,jobs,jobs/status",
      "get,list,watch policy poddisruptionbudgets,poddisruptionbudgets/status",
      "get,list,watch networking.k8s.io ingresses,ingresses/status,networkpolicies",
      "get,list,watch events.k8s.io events",
  };
  return kRules;
}

const std::vector<std::string_view>& edit_rules() {
  static const std::vector<std::string_view> kRules = {
      "get,list,watch core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy",
      "impersonate core serviceaccounts",
      "create,delete,deletecollection,patch,update core pods,pods/attach,pods/exec,pods/portforward,pods/proxy",
      "create core pods/eviction",
      "create,delete,deletecollection,patch,update core configmaps,events,persistentvolumeclaims,replicationcontrollers,"
      "replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy",
      "create core serviceaccounts/token",
      "create,delete,deletecollection,patch,update apps daemonsets,deployments,deployments/rollback,deployments/scale,"
      "replicasets,replicasets/scale,statefulsets,statefulsets/scale",
      "create,delete,deletecollection,patch,update autoscaling horizontalpodautoscalers",
      "create,delete,deletecollection,patch,update batch cronjobs,jobs",
      "create,delete,deletecollection,patch,update policy poddisruptionbudgets",
      "create,delete,deletecollection,patch,update networking.k8s.io ingresses,networkpolicies",
      "create,delete,deletecollection,get,list,patch,update,watch coordination.k8s.io leases",
  };
  return kRules;
}

const std::vector<std::string_view>& admin_rules() {
  static const std::vector<std::string_view> kRules = {
      "create authorization.k8s.io localsubjectaccessreviews",
      "create,delete,deletecollection,get,list,patch,update,watch rbac.authorization.k8s.io rolebindings,roles",
  };
  return kRules;
}

std::vector<std::string_view> joined(std::initializer_list<const std::vector<std::string_view>*> parts) {
  std::vector<std::string_view> out;
  for (const auto* part : parts) out.insert(out.end(), part->begin(), part->end());
  return out;
}

std::vector<RoleRow> cluster_roles() {
  return {
      {"cluster-admin", {"* * *", "* *"}, ""},
      {"system:aggregate-to-admin", admin_rules(), "admin"},
      {"system:aggregate-to-edit", edit_rules(), "edit"},
      {"system:aggregate-to-view", view_rules(), "view"},
      {"system:discovery",
       {"get /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/"}, ""},
      {"system:public-info-viewer", {"get /healthz,/livez,/readyz,/version,/version/"}, ""},
      {"system:monitoring",
       {"get /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*"}, ""},
      {"system:basic-user",
       {"create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews",
        "create authentication.k8s.io selfsubjectreviews"}, ""},
      {"system:auth-delegator",
       {"create authentication.k8s.io tokenreviews", "create authorization.k8s.io subjectaccessreviews"}, ""},
      {"system:service-account-issuer-discovery", {"get /.well-known/openid-configuration,/openid/v1/jwks"}, ""},
      {"system:kube-aggregator", {"get,list,watch core endpoints,services"}, ""},
      {"system:kube-dns", {"list,watch core endpoints,services"}, ""},
      {"system:node-proxier",
       {"list,watch core services,endpoints", "get,list,watch core nodes", "create,patch,update core,events.k8s.io events",
        "list,watch discovery.k8s.io endpointslices"}, ""},
      {"system:node-bootstrapper",
       {"create,get,list,watch certificates.k8s.io certificatesigningrequests"}, ""},
      {"system:node-problem-detector",
       {"get core nodes", "patch core nodes/status", "create,patch,update core,events.k8s.io events"}, ""},
      {"system:node",
       {"create authentication.k8s.io tokenreviews", "create authorization.k8s.io localsubjectaccessreviews,subjectaccessreviews",
        "get,list,watch core services", "create,get,list,watch core nodes", "patch,update core nodes/status",
        "patch,update core nodes", "delete core nodes", "create,patch,update core,events.k8s.io events",
        "get,list,watch core pods", "create,delete core pods", "patch,update core pods/status",
        "create core pods/eviction", "get,list,watch core configmaps,secrets", "get,list,watch core serviceaccounts",
        "create core serviceaccounts/token", "create,delete,get,patch,update coordination.k8s.io leases",
        "get,list,watch discovery.k8s.io endpointslices", "get,list,watch node.k8s.io runtimeclasses"}, ""},
      {"system:kube-scheduler",
       {"create,patch,update core,events.k8s.io events", "create coordination.k8s.io leases",
        "get,list,update,watch coordination.k8s.io leases", "get,list,watch core nodes", "delete,get,list,watch core pods",
        "create core bindings,pods/binding", "patch,update core pods/status", "get,list,watch core services",
        "get,list,watch core namespaces", "get,list,watch policy poddisruptionbudgets",
        "get,list,watch apps replicasets,statefulsets"}, ""},
      {"system:kube-controller-manager",
       {"create,patch,update core,events.k8s.io events", "create,get,update coordination.k8s.io leases",
        "create core secrets,serviceaccounts", "delete core secrets", "get core configmaps,namespaces,secrets,serviceaccounts",
        "update core secrets,serviceaccounts", "create authentication.k8s.io tokenreviews",
        "create authorization.k8s.io subjectaccessreviews", "get,list,watch * *", "create core serviceaccounts/token"}, ""},
  };
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    size_t end = std::min(text.find(separator), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

JsonArray list(std::string_view text) {
  JsonArray out;
  for (const std::string& item : split(text, ',')) out.emplace_back(item == "core" ? "" : item);
  return out;
}

Json rules_json(const std::vector<std::string_view>& rows) {
  JsonArray out;
  for (std::string_view row : rows) {
    std::vector<std::string> parts = split(row, ' ');
    JsonObject rule;
    if (parts.size() == 3) {
      rule["apiGroups"] = list(parts[1]);
      rule["resources"] = list(parts[2]);
    } else {
      rule["nonResourceURLs"] = list(parts[1]);
    }
    rule["verbs"] = list(parts[0]);
    out.push_back(std::move(rule));
  }
  return out;
}

Json bootstrap_object(std::string_view kind, std::string_view name) {
  Json out = JsonObject{{"apiVersion", kApiVersion}, {"kind", kind}};
  set(out, Json(name), "metadata", "name");
  set(out, Json("rbac-defaults"), "metadata", "labels", kBootstrapLabel);
  set(out, Json("true"), "metadata", "annotations", "rbac.authorization.kubernetes.io/autoupdate");
  return out;
}

// admin, edit, view: the sum of the roles with their label.
Json aggregated_role(std::string_view name, std::string_view part_of, const std::vector<std::string_view>& rules) {
  Json role = bootstrap_object("ClusterRole", name);
  std::string label = fmt::format("{}/aggregate-to-{}", kGroup, name);
  if (!part_of.empty()) set(role, Json("true"), "metadata", "labels", fmt::format("{}/aggregate-to-{}", kGroup, part_of));
  JsonObject selector{{"matchLabels", JsonObject{{label, "true"}}}};
  set(role, JsonArray{std::move(selector)}, "aggregationRule", "clusterRoleSelectors");
  set(role, rules_json(rules), "rules");
  return role;
}

Json cluster_binding(std::string_view name, std::string_view role, std::initializer_list<std::string_view> groups) {
  Json binding = bootstrap_object("ClusterRoleBinding", name);
  JsonArray subjects;
  for (std::string_view group : groups)
    subjects.push_back(JsonObject{{"kind", "Group"}, {"apiGroup", kGroup}, {"name", group}});
  set(binding, std::move(subjects), "subjects");
  set(binding, JsonObject{{"apiGroup", kGroup}, {"kind", "ClusterRole"}, {"name", role}}, "roleRef");
  return binding;
}
}  // namespace

std::vector<Json> bootstrap_rbac() {
  std::vector<Json> out;
  for (const RoleRow& row : cluster_roles()) {
    Json role = bootstrap_object("ClusterRole", row.name);
    if (!row.aggregate_to.empty())
      set(role, Json("true"), "metadata", "labels", fmt::format("{}/aggregate-to-{}", kGroup, row.aggregate_to));
    set(role, rules_json(row.rules), "rules");
    out.push_back(std::move(role));
  }
  out.push_back(aggregated_role("view", "edit", view_rules()));
  out.push_back(aggregated_role("edit", "admin", joined({&edit_rules(), &view_rules()})));
  out.push_back(aggregated_role("admin", "", joined({&admin_rules(), &edit_rules(), &view_rules()})));
  out.push_back(cluster_binding("cluster-admin", "cluster-admin", {"system:masters"}));
  out.push_back(cluster_binding("system:discovery", "system:discovery", {"system:authenticated"}));
  out.push_back(cluster_binding("system:basic-user", "system:basic-user", {"system:authenticated"}));
  out.push_back(cluster_binding("system:public-info-viewer", "system:public-info-viewer",
                                {"system:authenticated", "system:unauthenticated"}));
  out.push_back(cluster_binding("system:monitoring", "system:monitoring", {"system:monitoring"}));
  out.push_back(cluster_binding("system:service-account-issuer-discovery", "system:service-account-issuer-discovery",
                                {"system:serviceaccounts"}));
  // Upstream gives nodes their rights by a node authorizer; here the role is bound.
  out.push_back(cluster_binding("system:node", "system:node", {"system:nodes"}));
  return out;
}

}  // namespace rs::server
