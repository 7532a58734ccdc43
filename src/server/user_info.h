// Who makes a request (authentication.k8s.io UserInfo). A value.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rs::server {

struct UserInfo {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;

  bool in_group(std::string_view group) const { return std::find(groups.begin(), groups.end(), group) != groups.end(); }
};

inline constexpr const char* kMasters = "system:masters";
inline constexpr const char* kAuthenticated = "system:authenticated";
inline constexpr const char* kUnauthenticated = "system:unauthenticated";

}  // namespace rs::server
