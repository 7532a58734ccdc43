// YAML as Kubernetes reads it (sigs.k8s.io/yaml over yaml.v2): YAML 1.1 scalars, JSON's data model. Never throws.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace rs::api {

struct YamlDuplicate {
  int line;          // 1-based
  std::string key;
};

// At most max_documents of them (the rest of the text is not looked at). duplicates: keys set twice in one mapping; the
// last one counts. Anchors are expanded within kMaxValues values in all.
Result<std::vector<Json>> read_yaml(std::string_view text, size_t max_documents, std::vector<YamlDuplicate>* duplicates);

// "yaml: unmarshal errors:\n  line 3: key \"a\" already set in map", and one of its lines.
std::string to_string(const std::vector<YamlDuplicate>& duplicates);
std::string to_string(const YamlDuplicate& duplicate);

}  // namespace rs::api
