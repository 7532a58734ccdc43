// Strategy: what one kind does beyond the generic create, update and delete (apiserver pkg/registry/*/strategy.go). The
// generic path is registry.h; kinds without behaviour of their own use Strategy itself. Stateless; one loop.
#pragma once

#include "api/codec.h"
#include "server/storage.h"

namespace rs::server {

// One mutating request on one object.
struct Write {
  const api::Kind* kind = nullptr;
  std::shared_ptr<ResourceCache> cache;
  std::string ns, name, subresource;
  UserInfo user;
  bool dry_run = false;
  bool internal = false;                     // the server's own change: spec and status together, not validated
  bool applied = false;                      // server-side apply has settled managedFields
  std::string manager;                       // field manager
  api::FieldValidation validation = api::FieldValidation::kWarn;
  std::vector<std::string> warnings;
  Claims claims;                             // filled by the strategy while it prepares the object
};

struct DeleteOptions {
  std::optional<int64_t> grace_period_seconds;
  std::string propagation_policy;            // Orphan, Background, Foreground or empty
  std::optional<bool> orphan_dependents;
  std::string uid, resource_version;         // preconditions
  bool dry_run = false;
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  // Behind decoding and defaults, before validation. Metadata is filled in, status already cleared where it is not the
  // client's to set.
  virtual Result<void> prepare_create(Core& core, Write& write, Json& object) const;
  // object already has the old status (main endpoint) or the old everything else (status).
  virtual Result<void> prepare_update(Core& core, Write& write, Json& object, const Json& old) const;
  virtual Result<void> check_delete(Core& core, const Write& write, const Json& object) const;
  // Allocations to give back when the object goes.
  virtual Claims claims_of_removed(const Json& object) const;
  // Seconds of graceful deletion; nothing: the kind is deleted at once.
  virtual std::optional<int64_t> grace_period(const DeleteOptions& options, const Json& object) const;
  // What else changes when a deletionTimestamp is set.
  virtual void mark_deleted(Json& object) const;
  // Whether a deleted object must stay for another reason than metadata.finalizers.
  virtual bool holds(const Json& object) const;
  // The claims that another object has: the client's error when it asked for them itself; nothing: choose others.
  virtual std::optional<Error> claims_refused(const Write& write, const Json& wanted,
                                              const std::vector<std::string>& taken) const;
  virtual bool keeps_status_on_create() const { return false; }
  virtual bool create_on_update() const { return false; }
  virtual bool returns_deleted_object() const { return false; }
  virtual bool status_keeps_labels() const { return true; }   // labels sent to /status are ignored
  virtual int64_t ttl_seconds() const { return 0; }
};

// Of the kind; the generic one when it has none of its own.
const Strategy& strategy_of(const api::Kind& kind);

}  // namespace rs::server
