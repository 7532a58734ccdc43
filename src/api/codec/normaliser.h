// Brings a tree into the form of its type, as Go's decoding into a struct and encoding again would:
//  - members the type does not have go (and are reported), nulls go, empty optional members go;
//  - required members that are missing appear with their zero (""; 0; false; [] and not Go's null), as do structs that
//    are no pointers ({}), because clients made from the OpenAPI document insist on them;
//  - quantities become canonical, times UTC, numbers in place of quantities strings;
//  - values of the wrong type are an error in encoding/json's words.
// One use, one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/schema.h"

namespace rs::api {

class Normaliser {
 public:
  // duplicates: paths the reader has seen twice; those of known fields are reported with the unknown ones.
  explicit Normaliser(std::vector<std::string> duplicates = {});

  // False: wrong_type() says why.
  bool run(JsonObject& object, const TypeInfo& type);

  const std::string& wrong_type() const { return wrong_type_; }
  // `unknown field "spec.foo"`, `duplicate field "metadata.name"`, in document order; at most 100.
  const std::vector<std::string>& strict_errors() const { return strict_errors_; }

 private:
  struct Step {
    std::string_view name;  // a member, or
    size_t index = 0;       // an item when name is null
    bool is_map_key = false;
  };
  bool object(JsonObject& members, const TypeInfo& type);
  bool field(Json& value, const FieldInfo& info, const TypeInfo& owner);
  bool list(Json& value, const FieldInfo& info, const TypeInfo& owner);
  bool map(Json& value, const FieldInfo& info, const TypeInfo& owner);
  bool single(Json& value, const FieldInfo& info, const TypeInfo& owner);
  bool integer(Json& value, const FieldInfo& info, const TypeInfo& owner);
  bool quantity(Json& value);
  bool time(Json& value, bool micro);
  bool schema_or(Json& value, const FieldInfo& info, const TypeInfo& owner);
  bool string_list(Json& value, const FieldInfo& info, const TypeInfo& owner);
  void add_missing(JsonObject& members, const TypeInfo& type);
  bool refuse(const Json& value, std::string_view go_type, const TypeInfo& owner);
  bool refuse_as(std::string_view what, std::string_view go_type, const TypeInfo& owner);
  void report(std::string_view what);
  std::string path() const;

  std::vector<std::string> duplicates_, strict_errors_;
  std::vector<Step> path_;
  std::string wrong_type_;
};

}  // namespace rs::api
