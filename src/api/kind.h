// Kinds are data: what the API server knows of a kind, built-in or (later) from a CRD. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace rs::api {

struct TypeInfo;  // api/schema.h: fields, protobuf numbers, merge and list keys

// "apps/v1", or "v1" for the core group.
std::string group_version(std::string_view group, std::string_view version);

struct Subresource {
  std::string name;                 // status, scale, log, exec, binding, eviction, token …
  std::string group, version, kind; // of its object; empty: the parent's
  std::vector<std::string> verbs;   // sorted, as discovery shows them
};

struct Kind {
  std::string group, version, kind;     // apps, v1, Deployment
  std::string plural, singular;         // deployments, deployment
  std::vector<std::string> short_names;
  std::vector<std::string> categories;
  bool namespaced = true;
  std::vector<std::string> verbs;       // sorted
  std::vector<Subresource> subresources;
  const TypeInfo* type = nullptr;       // the schema; null: free-form
  bool has_status = false;              // the status subresource: writes to the object ignore .status
  bool has_generation = false;          // metadata.generation counts changes of all but metadata and .status
  // Field selectors beyond metadata.name and metadata.namespace, e.g. spec.nodeName.
  std::vector<std::string> selectable_fields;
  bool stored = true;                   // false: virtual (SelfSubjectAccessReview, Eviction, Binding …)
  // Objects that two groups serve are stored once: the group version they are stored in when it is not this one
  // ("v1" for events.k8s.io/v1 Event). convert_stored() turns one form into the other.
  std::string stored_group_version;

  std::string group_version() const { return api::group_version(group, version); }
  std::string list_kind() const { return kind + "List"; }
  const Subresource* subresource(std::string_view name) const;
};

// The kinds of one server, in discovery order (reference section A4). Groups keep upstream's priority order.
class KindTable {
 public:
  virtual ~KindTable() = default;
  virtual const std::vector<std::shared_ptr<const Kind>>& all() const = 0;  // the resources
  virtual const Kind* by_resource(std::string_view group, std::string_view version, std::string_view plural) const = 0;
  // Also the kinds that only subresources speak (Eviction, Scale, TokenRequest …; plural is empty).
  virtual const Kind* by_kind(std::string_view group, std::string_view version, std::string_view kind) const = 0;
};

// Every built-in kind that Roadstead serves.
const KindTable& builtin_kinds();

// Every kind of Kubernetes in the table of kinds.cpp, also those Roadstead does not serve (for clients and tests).
const KindTable& known_kinds();

// The same object as another kind that shares its storage: Event of v1 and of events.k8s.io/v1. Unchanged otherwise.
Json convert_stored(const Kind& from, const Kind& to, Json object);

}  // namespace rs::api
