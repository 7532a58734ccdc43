// Who owns whom, by uid, over all kinds (k8s pkg/controller/garbagecollector/graph.go). Pure.
#pragma once

#include <map>
#include <set>

#include "client/client.h"

namespace rs::control {

struct OwnerNode {
  std::string uid;
  client::Resource resource;
  api::ObjectKey key;
  std::vector<api::OwnerReference> owners;
  bool deleting = false;
  bool orphans = false;      // being deleted, finalizer "orphan": its dependents stay, without it
  bool foreground = false;   // being deleted, finalizer "foregroundDeletion": its dependents go first
};

class OwnerGraph {
 public:
  // Takes in what an informer shows; answers the uids that must be looked at because of it.
  std::set<std::string> put(const client::Resource& resource, const Json& object);
  std::set<std::string> remove(const std::string& uid);

  const OwnerNode* find(const std::string& uid) const;  // null: not seen, or gone
  std::vector<const OwnerNode*> dependents(const std::string& uid) const;
  // Dependents that keep an owner waiting in foreground deletion.
  std::vector<const OwnerNode*> blocking_dependents(const std::string& uid) const;
  size_t size() const { return nodes_.size(); }

 private:
  std::map<std::string, OwnerNode> nodes_;
  std::map<std::string, std::set<std::string>> dependents_;  // also of owners not (yet) seen
};

enum class OwnerState { kPresent, kAbsent, kWaiting };  // kWaiting: being deleted in the foreground

struct Collection {
  enum class Action { kKeep, kDropReferences, kDelete } action = Action::kKeep;
  std::set<std::string> drop;    // owner uids whose references go
  std::string policy;            // how to delete
};
// What becomes of an object whose owners are in these states (attemptToDeleteItem). has_dependents: it owns others.
Collection collect(const OwnerNode& node, const std::map<std::string, OwnerState>& owners, bool has_dependents);

}  // namespace rs::control
