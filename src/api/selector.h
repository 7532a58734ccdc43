// Label selectors (string form and metav1.LabelSelector) and field selectors. Immutable values; any thread.
#pragma once

#include "api/kind.h"

namespace rs::api {

class LabelSelector {
 public:
  enum class Operator { kIn, kNotIn, kExists, kDoesNotExist, kGreaterThan, kLessThan };
  struct Requirement {
    std::string key;
    Operator op;
    std::vector<std::string> values;
  };
  LabelSelector() = default;  // matches everything
  static Result<LabelSelector> parse(std::string_view text);        // "a=b,c in (d,e),!f"; kBadRequest
  // {matchLabels, matchExpressions}; an empty object matches everything, a null (missing) one nothing.
  static Result<LabelSelector> from_json(const Json* selector);
  static LabelSelector from_labels(const JsonObject& labels);       // Service.spec.selector; empty matches everything
  bool matches(const JsonObject& labels) const;
  bool matches_object(const Json& object) const;                    // metadata.labels
  bool empty() const { return !nothing_ && requirements_.empty(); }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  std::string text() const;

 private:
  std::vector<Requirement> requirements_;
  bool nothing_ = false;
};

class FieldSelector {
 public:
  struct Requirement {
    std::string field;
    bool equal = true;
    std::string value;
  };
  FieldSelector() = default;
  // "spec.nodeName=a,status.phase!=Running"; kBadRequest `field label not supported: x` for what kind cannot select by.
  static Result<FieldSelector> parse(std::string_view text, const Kind& kind);
  bool matches(const Json& object) const;
  bool empty() const { return requirements_.empty(); }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  // The value metadata.name (or another field) must equal, or null.
  const std::string* required(std::string_view field) const;

 private:
  std::vector<Requirement> requirements_;
};

}  // namespace rs::api
