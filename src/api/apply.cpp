#include "api/apply.h"

#include "api/apply_tree.h"
#include "api/meta.h"

namespace rs::api {
namespace {

constexpr size_t kMaxUpdaters = 10;                          // capmanagers.go
constexpr std::string_view kAncient = "ancient-changes";
constexpr std::string_view kBeforeFirstApply = "before-first-apply";

// Who owns fields: metav1.ManagedFieldsEntry without the fields. Appliers are the same across versions of the API.
struct Manager {
  std::string name;
  bool apply = false;
  std::string api_version;
  std::string subresource;
};

struct Entry {
  Manager manager;
  std::string time;
  FieldSet fields;
};

bool same(const Manager& a, const Manager& b) {
  return a.name == b.name && a.apply == b.apply && a.subresource == b.subresource && (a.apply || a.api_version == b.api_version);
}

// Never owned: what identifies the object and what the server keeps (stripmeta.go).
void strip_system_fields(FieldSet& fields) {
  static const FieldSet::Path kPaths[] = {{"f:apiVersion"}, {"f:kind"}, {"f:metadata"}, {"f:metadata", "f:name"},
                                          {"f:metadata", "f:namespace"}, {"f:metadata", "f:creationTimestamp"},
                                          {"f:metadata", "f:selfLink"}, {"f:metadata", "f:uid"},
                                          {"f:metadata", "f:clusterName"}, {"f:metadata", "f:generation"},
                                          {"f:metadata", "f:resourceVersion"}};
  for (const FieldSet::Path& path : kPaths) fields.erase_member(path);
  fields.erase_below({"f:metadata", "f:managedFields"});
}

// The fields that a write to this endpoint cannot change are not its writer's (GetResetFields).
void strip_reset_fields(FieldSet& fields, const Kind& kind, std::string_view subresource) {
  if (subresource == "status") fields = fields.only_below({"f:status"});
  else if (kind.has_status) fields.erase_below({"f:status"});
}

// All entries of an object; the first empty set ends a manager's entry.
class ManagedFields {
 public:
  // nullopt when the list cannot be understood.
  static std::optional<ManagedFields> decode(const JsonArray& list) {
    ManagedFields out;
    for (const Json& item : list) {
      std::string_view operation = str(item, "operation");
      if (operation != "Apply" && operation != "Update") return std::nullopt;
      const Json* fields = find(item, "fieldsV1");
      std::optional<FieldSet> set = fields == nullptr ? FieldSet() : FieldSet::from_json(*fields);
      if (!set) return std::nullopt;
      Manager manager{std::string(str(item, "manager")), operation == "Apply", std::string(str(item, "apiVersion")),
                      std::string(str(item, "subresource"))};
      Entry& entry = out.at(manager);
      entry.time = str(item, "time");
      entry.fields = entry.fields.united(*set);
    }
    return out;
  }

  Json encode() const {
    std::vector<const Entry*> order;
    for (const Entry& entry : entries_)
      if (!entry.fields.empty()) order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
      auto key = [](const Entry* entry) {
        const Manager& manager = entry->manager;
        return std::tie(entry->time, manager.name, manager.api_version, manager.subresource);
      };
      if (a->manager.apply != b->manager.apply) return a->manager.apply;
      return key(a) < key(b);
    });
    JsonArray out;
    for (const Entry* entry : order) {
      JsonObject item{{"manager", entry->manager.name},
                      {"operation", entry->manager.apply ? "Apply" : "Update"},
                      {"apiVersion", entry->manager.api_version}};
      if (!entry->time.empty()) item["time"] = entry->time;
      item["fieldsType"] = "FieldsV1";
      item["fieldsV1"] = entry->fields.to_json();
      if (!entry->manager.subresource.empty()) item["subresource"] = entry->manager.subresource;
      out.push_back(std::move(item));
    }
    return out;
  }

  Entry& at(const Manager& manager) {
    for (Entry& entry : entries_)
      if (same(entry.manager, manager)) return entry;
    return entries_.emplace_back(Entry{manager, "", {}});
  }
  std::vector<Entry>& entries() { return entries_; }
  bool empty() const {
    return std::all_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.fields.empty(); });
  }

  // Too many updaters: the oldest of each version become one (capmanagers.go).
  void cap_updaters() {
    std::erase_if(entries_, [](const Entry& entry) { return entry.fields.empty(); });
    std::vector<size_t> updaters;
    for (size_t i = 0; i < entries_.size(); ++i)
      if (!entries_[i].manager.apply) updaters.push_back(i);
    size_t count = updaters.size();
    if (count <= kMaxUpdaters) return;
    std::sort(updaters.begin(), updaters.end(), [&](size_t a, size_t b) {
      return std::tie(entries_[a].time, entries_[a].manager.name) < std::tie(entries_[b].time, entries_[b].manager.name);
    });
    std::map<std::string, size_t> first_of_version;
    for (size_t i = 0; i < updaters.size() && count > kMaxUpdaters; ++i) {
      Entry& entry = entries_[updaters[i]];
      auto [first, added] = first_of_version.try_emplace(entry.manager.api_version, updaters[i]);
      if (added) continue;
      Entry& bucket = entries_[first->second];
      bucket.manager = {std::string(kAncient), false, entry.manager.api_version, ""};
      bucket.fields = bucket.fields.united(entry.fields);
      bucket.time = entry.time;
      entry.fields = {};
      --count;
    }
    std::erase_if(entries_, [](const Entry& entry) { return entry.fields.empty(); });
  }

 private:
  std::vector<Entry> entries_;
};

const JsonArray& managed_list(const Json* object) {
  return object == nullptr ? empty_array() : array(*object, "metadata", "managedFields");
}

// [{}]: the client asks to forget all owners.
bool asks_for_reset(const JsonArray& list) {
  return list.size() == 1 && list[0].is_object() &&
         std::all_of(list[0].get_object().begin(), list[0].get_object().end(), [](const auto& member) {
           const Json& value = member.value();
           return value.is_null() || (value.is_string() && value.get_string().empty());
         });
}

Json without_managed_fields(const Json* object) {
  Json out = object == nullptr ? Json(JsonObject()) : *object;
  erase(out, "managedFields", "metadata");
  return out;
}

void store(Json& object, ManagedFields& managed) {
  managed.cap_updaters();
  Json list = managed.encode();
  if (list.get_array().empty()) erase(object, "managedFields", "metadata");
  else set(object, std::move(list), "metadata", "managedFields");
}

// What a create is compared with: the structs that Go always has.
Json nothing_yet() { return JsonObject{{"metadata", JsonObject()}, {"spec", JsonObject()}, {"status", JsonObject()}}; }

std::string in_quotes(std::string_view text) { return boost::json::serialize(boost::json::string(text)); }

std::string describe(const Manager& manager) {
  std::string out = in_quotes(manager.name);
  if (!manager.subresource.empty()) out += fmt::format(" with subresource {}", in_quotes(manager.subresource));
  if (!manager.apply) out += fmt::format(" using {}", manager.api_version);
  return out;
}

// apimachinery managedfields NewConflictError.
Error conflict_error(const std::vector<std::pair<const Manager*, FieldSet>>& conflicts) {
  auto details = std::make_shared<ErrorDetails>();
  std::map<std::string, std::vector<std::string>> by_manager;
  size_t count = 0;
  for (const auto& [manager, fields] : conflicts)
    for (const FieldSet::Path& path : fields.paths()) {
      std::string who = describe(*manager), field = to_string(path);
      details->causes.push_back({"FieldManagerConflict", "conflict with " + who, field});
      by_manager[who].push_back(field);
      ++count;
    }
  std::string message;
  if (count == 1) {
    const auto& [who, fields] = *by_manager.begin();
    message = fmt::format("Apply failed with 1 conflict: conflict with {}: {}", who, fields[0]);
  } else {
    std::vector<std::string> parts;
    for (const auto& [who, fields] : by_manager)
      parts.push_back(fmt::format("conflicts with {}:\n- {}", who, fmt::join(fields, "\n- ")));
    message = fmt::format("Apply failed with {} conflicts: {}", count, fmt::join(parts, "\n"));
  }
  return Error{Code::kConflict, std::move(message), std::move(details)};
}

// Takes from all other managers what this write changed or removed. With conflicts: those that change under an applier.
std::vector<std::pair<const Manager*, FieldSet>> take_from_others(ManagedFields& managed, const Comparison& changes,
                                                                  const Manager* self, bool force) {
  FieldSet changed = changes.modified.united(changes.added);
  std::vector<std::pair<const Manager*, FieldSet>> conflicts;
  if (!force)
    for (const Entry& entry : managed.entries())
      if (self == nullptr || !same(entry.manager, *self))
        if (FieldSet both = entry.fields.intersected(changed); !both.empty()) conflicts.emplace_back(&entry.manager, std::move(both));
  if (!conflicts.empty()) return conflicts;
  for (Entry& entry : managed.entries())
    if (self == nullptr || !same(entry.manager, *self)) entry.fields = entry.fields.minus(changed).minus(changes.removed);
  return {};
}

Comparison visible_changes(const Kind& kind, std::string_view subresource, const Json& before, const Json& after) {
  Comparison out = compare(kind, before, after);
  for (FieldSet* fields : {&out.added, &out.modified, &out.removed}) {
    strip_reset_fields(*fields, kind, subresource);
    strip_system_fields(*fields);
  }
  return out;
}

// The owners that an apply finds. An object without any: all of it belongs to whoever was there before.
Result<ManagedFields> owners_before_apply(const Kind& kind, const Json* live, const Json& bare) {
  std::optional<ManagedFields> managed = ManagedFields::decode(managed_list(live));
  if (!managed) managed.emplace();
  if (live == nullptr || !managed->empty()) return std::move(*managed);
  Comparison all = compare(kind, nothing_yet(), bare);
  Entry& entry = managed->at({std::string(kBeforeFirstApply), false, kind.group_version(), ""});
  entry.fields = all.added.united(all.modified);
  strip_system_fields(entry.fields);
  return std::move(*managed);
}

// The part of a configuration that this endpoint takes.
Json accepted(const Kind& kind, const Json& config, std::string_view subresource) {
  Json out = config;
  if (subresource == "status") {
    out.get_object().erase("spec");
    for (std::string_view member : {"labels", "annotations", "ownerReferences", "finalizers"}) erase(out, member, "metadata");
  } else if (kind.has_status) {
    out.get_object().erase("status");
  }
  return out;
}

}  // namespace

Result<Json> server_side_apply(const Kind& kind, const Json* live, const Json& config, const ApplyOptions& options) {
  if (!config.is_object()) return fail(Code::kBadRequest, "an apply configuration is an object");
  if (!managed_list(&config).empty()) return fail(Code::kBadRequest, "metadata.managedFields must be nil");
  Json wanted = accepted(kind, config, options.subresource);
  erase(wanted, "managedFields", "metadata");
  Result<FieldSet> fields = fields_of(kind, wanted);
  if (!fields) return fail(fields.error());
  FieldSet said = *fields;  // with the name and all else that nobody owns
  said.insert({"f:metadata"});
  strip_reset_fields(*fields, kind, options.subresource);
  strip_system_fields(*fields);

  Json before = without_managed_fields(live);
  Result<ManagedFields> managed = owners_before_apply(kind, live, before);
  if (!managed) return fail(managed.error());
  Manager self{options.manager, true, kind.group_version(), options.subresource};
  FieldSet last = managed->at(self).fields;
  managed->at(self).fields = *fields;

  Json after = merged(kind, before, wanted);
  if (!last.empty()) {
    FieldSet kept = std::move(said);
    for (const Entry& entry : managed->entries()) kept = kept.united(entry.fields);
    after = pruned(kind, after, last.with_named_parents(), kept.with_named_parents());
  }
  Comparison changes = visible_changes(kind, options.subresource, live == nullptr ? nothing_yet() : before, after);
  if (auto conflicts = take_from_others(*managed, changes, &self, options.force); !conflicts.empty())
    return fail(conflict_error(conflicts));

  // A new time only for a new outcome: an apply that changes nothing must leave the object byte for byte.
  Entry& entry = managed->at(self);
  entry.manager.api_version = kind.group_version();
  if (entry.time.empty() || !(last == entry.fields) || before != after) entry.time = rfc3339(options.now);
  store(after, *managed);
  return after;
}

void track_update(const Kind& kind, const Json* old_object, Json& object, const ApplyOptions& options) {
  const JsonArray& given = managed_list(&object);
  std::optional<ManagedFields> managed;
  bool reset = options.subresource.empty() && asks_for_reset(given);
  if (reset) managed.emplace();
  // A subresource cannot set the list; a client that does not know it cannot lose it.
  if (!managed && options.subresource.empty()) managed = ManagedFields::decode(given);
  if (!managed || (!reset && managed->empty())) managed = ManagedFields::decode(managed_list(old_object));
  if (!managed) managed.emplace();
  if (managed->empty() && old_object != nullptr) {  // nobody asked for it since the list was reset
    erase(object, "managedFields", "metadata");
    return;
  }
  Json before = old_object == nullptr ? nothing_yet() : without_managed_fields(old_object);
  Comparison changes = visible_changes(kind, options.subresource, before, without_managed_fields(&object));
  FieldSet changed = changes.modified.united(changes.added);
  take_from_others(*managed, changes, nullptr, true);
  if (!changed.empty()) {
    Entry& entry = managed->at({options.manager.empty() ? "unknown" : options.manager, false, kind.group_version(), options.subresource});
    entry.fields = entry.fields.united(changed);
    entry.time = rfc3339(options.now);
  }
  store(object, *managed);
}

}  // namespace rs::api
