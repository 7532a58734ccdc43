// Authorization: RBAC over the cached roles and bindings (reference section A15). Allow-only; system:masters may all.
#pragma once

#include <set>

#include "server/core.h"
#include "server/request_info.h"

namespace rs::server {

struct AccessRequest {
  std::string verb;
  bool is_resource = true;
  std::string group, resource, subresource, ns, name;
  std::string path;                     // of a non-resource
};
AccessRequest access_request(const RequestInfo& info);

struct PolicyRule {
  std::vector<std::string> verbs, groups, resources, names, paths;
  bool allows(const AccessRequest& request) const;
};

class Authorizer {
 public:
  explicit Authorizer(Core& core) : core_(core) {}
  bool allows(const UserInfo& user, const AccessRequest& request);
  // Rules that apply to the user in a namespace (SelfSubjectRulesReview).
  std::vector<PolicyRule> rules_of(const UserInfo& user, std::string_view ns);
  // Whether the user holds everything a rule gives (no one may give more than they have).
  bool covers(const UserInfo& user, std::string_view ns, const PolicyRule& rule);

 private:
  using Rules = std::shared_ptr<const std::vector<PolicyRule>>;
  struct Grant {
    std::string ns;                     // empty: everywhere
    Rules rules;
  };
  void refresh();
  void add_binding(const Json& binding, std::string_view ns, const std::map<std::string, Rules>& roles);
  std::vector<const Grant*> grants_of(const UserInfo& user) const;

  Core& core_;
  std::vector<uint64_t> built_from_;    // sequences of the caches that grants_ were built from
  std::map<std::string, std::vector<Grant>> grants_;   // by subject: "User/x", "Group/x"
};

std::vector<PolicyRule> parse_rules(const JsonArray& rules);
Error denied(const UserInfo& user, const AccessRequest& request);

}  // namespace rs::server
