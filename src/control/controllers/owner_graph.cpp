#include "control/controllers/owner_graph.h"

namespace rs::control {

namespace {
bool has_finalizer(const Json& object, std::string_view name) {
  for (const Json& finalizer : array(object, "metadata", "finalizers"))
    if (str(finalizer) == name) return true;
  return false;
}
}  // namespace

std::set<std::string> OwnerGraph::put(const client::Resource& resource, const Json& object) {
  OwnerNode node;
  node.uid = api::uid_of(object);
  node.resource = resource;
  node.key = api::key_of(object);
  node.owners = api::owners_of(object);
  node.deleting = api::is_deleting(object);
  node.orphans = node.deleting && has_finalizer(object, "orphan");
  node.foreground = node.deleting && has_finalizer(object, "foregroundDeletion");

  auto uids = [](const OwnerNode& of) {
    std::map<std::string, bool> out;   // owner uid -> blocks it
    for (const auto& owner : of.owners) out[owner.uid] = owner.block_owner_deletion;
    return out;
  };
  std::set<std::string> look_at;
  auto known = nodes_.find(node.uid);
  bool owners_changed = known == nodes_.end() || uids(known->second) != uids(node);
  if (known != nodes_.end() && owners_changed)
    for (const auto& owner : known->second.owners) {
      dependents_[owner.uid].erase(node.uid);
      look_at.insert(owner.uid);    // it may have waited for this one
    }
  if (owners_changed)
    for (const auto& owner : node.owners) dependents_[owner.uid].insert(node.uid);
  if (owners_changed && !node.owners.empty()) look_at.insert(node.uid);
  if (node.orphans || node.foreground) look_at.insert(node.uid);
  bool began_foreground = node.foreground && (known == nodes_.end() || !known->second.foreground);
  if (began_foreground)
    for (const std::string& dependent : dependents_[node.uid]) look_at.insert(dependent);
  nodes_.insert_or_assign(node.uid, node);
  return look_at;
}

std::set<std::string> OwnerGraph::remove(const std::string& uid) {
  auto it = nodes_.find(uid);
  if (it == nodes_.end()) return {};
  std::set<std::string> look_at;
  for (const auto& owner : it->second.owners) {
    look_at.insert(owner.uid);
    auto siblings = dependents_.find(owner.uid);
    if (siblings == dependents_.end()) continue;
    siblings->second.erase(uid);
    if (siblings->second.empty()) dependents_.erase(siblings);
  }
  nodes_.erase(it);
  if (auto own = dependents_.find(uid); own != dependents_.end()) look_at.insert(own->second.begin(), own->second.end());
  return look_at;
}

const OwnerNode* OwnerGraph::find(const std::string& uid) const {
  auto it = nodes_.find(uid);
  return it == nodes_.end() ? nullptr : &it->second;
}

std::vector<const OwnerNode*> OwnerGraph::dependents(const std::string& uid) const {
  std::vector<const OwnerNode*> out;
  auto it = dependents_.find(uid);
  if (it == dependents_.end()) return out;
  for (const std::string& dependent : it->second)
    if (const OwnerNode* node = find(dependent)) out.push_back(node);
  return out;
}

std::vector<const OwnerNode*> OwnerGraph::blocking_dependents(const std::string& uid) const {
  std::vector<const OwnerNode*> out;
  for (const OwnerNode* node : dependents(uid))
    for (const auto& owner : node->owners)
      if (owner.uid == uid && owner.block_owner_deletion) out.push_back(node);
  return out;
}

Collection collect(const OwnerNode& node, const std::map<std::string, OwnerState>& owners, bool has_dependents) {
  Collection out;
  bool present = false, waiting = false;
  for (const auto& [uid, state] : owners) {
    present |= state == OwnerState::kPresent;
    waiting |= state == OwnerState::kWaiting;
    if (state != OwnerState::kPresent) out.drop.insert(uid);
  }
  if (owners.empty() || out.drop.empty()) return out;
  if (present) {
    out.action = Collection::Action::kDropReferences;
    return out;
  }
  out.drop.clear();
  if (node.deleting) return out;
  out.action = Collection::Action::kDelete;
  // An owner that waits for this one must see it go only after this one's own dependents.
  if (waiting && has_dependents) out.policy = "Foreground";
  else if (node.orphans) out.policy = "Orphan";
  else if (node.foreground) out.policy = "Foreground";
  else out.policy = "Background";
  return out;
}

}  // namespace rs::control
