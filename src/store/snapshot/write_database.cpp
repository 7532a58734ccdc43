#include <boost/json.hpp>

#include "store/auth/state.h"
#include "store/etcd/messages.h"
#include "store/mvcc/record.h"
#include "store/snapshot/bbolt_writer.h"
#include "store/snapshot/snapshot.h"

namespace rs::store::snapshot {
namespace {

std::string big_endian(uint64_t value) {
  std::string out;
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(char(value >> shift));
  return out;
}

std::string revision_key(Revision main, uint32_t sub, bool tombstone) {
  std::string out = big_endian(uint64_t(main)) + "_" + big_endian(sub);
  if (tombstone) out.push_back('t');
  return out;
}

std::string key_value_message(const mvcc::Record& record, std::string_view value) {
  etcd::Writer out;
  out.bytes(1, record.key);
  if (record.tombstone) return out.take();
  out.number(2, uint64_t(record.create));
  out.number(3, uint64_t(record.main));
  out.number(4, uint64_t(record.version));
  out.bytes(5, value);
  out.number(6, uint64_t(record.lease));
  return out.take();
}

Error damaged() { return {Code::kDataLoss, "a stored record cannot be understood"}; }

// The key bucket: records and their values lie in the same order, so one pass over both gives each with its value.
Result<void> write_keys(const engine::View& view, BboltWriter& writer, const std::atomic<bool>& stop) {
  auto records = view.cursor(mvcc::record_key('i', 0, 0), mvcc::kRecordsEnd);
  auto values = view.cursor(mvcc::record_key('v', 0, 0), "w");
  for (; records->valid(); records->next()) {
    if (stop.load(std::memory_order_relaxed)) return fail(Code::kCancelled, "the snapshot is not wanted any more");
    const auto record = mvcc::parse_record(records->key(), records->value());
    if (!record) return fail(damaged());
    std::string_view value;
    if (record->value_bytes != 0) {
      while (values->valid() && values->key().substr(1) < records->key().substr(1)) values->next();
      if (!values->valid() || values->key().substr(1) != records->key().substr(1) ||
          values->value().size() != record->value_bytes) {
        if (auto status = values->status(); !status) return status;
        return fail(Code::kDataLoss, "the value of revision {}/{} is missing or damaged", record->main, record->sub);
      }
      value = values->value();
    }
    auto put = writer.put(revision_key(record->main, record->sub, record->tombstone), key_value_message(*record, value));
    if (!put) return put;
  }
  return records->status();
}

Result<void> write_leases(const engine::View& view, BboltWriter& writer) {
  auto leases = view.cursor(mvcc::kLeasesBegin, mvcc::kLeasesEnd);
  for (; leases->valid(); leases->next()) {
    const auto lease = mvcc::parse_lease(leases->key(), leases->value());
    if (!lease) return fail(Code::kDataLoss, "a stored lease cannot be understood");
    etcd::Writer out;
    out.number(1, uint64_t(lease->id));
    out.number(2, uint64_t(lease->ttl_seconds));
    out.number(3, uint64_t(lease->remaining_seconds));
    if (auto put = writer.put(big_endian(uint64_t(lease->id)), out.take()); !put) return put;
  }
  return leases->status();
}

template <class Fill>
Result<void> bucket(BboltWriter& writer, std::string_view name, const Fill& fill) {
  if (auto begun = writer.begin_bucket(name); !begun) return begun;
  if (Result<void> filled = fill(); !filled) return filled;
  return writer.end_bucket();
}

Result<auth::State> auth_state(const engine::View& view) {
  auto note = view.get(mvcc::meta_key(auth::kNote));
  if (!note) return fail(note.error());
  if (!note->has_value()) return auth::State{};
  return auth::decode_state(**note);
}

Result<int64_t> number_of(const engine::View& view, std::string_view name) {
  auto text = view.get(mvcc::meta_key(name));
  if (!text) return fail(text.error());
  if (!text->has_value()) return 0;
  auto number = mvcc::parse_number(**text);
  if (!number) return fail(Code::kDataLoss, "the record \"{}\" is damaged", name);
  return *number;
}

std::string member_json(const Member& member) {
  boost::json::object out;
  out["id"] = member.id;
  auto urls = [](const std::vector<std::string>& list) {
    boost::json::array array;
    for (const std::string& url : list) array.emplace_back(url);
    return array;
  };
  out["peerURLs"] = urls(member.peer_urls);
  out["name"] = member.name;
  out["clientURLs"] = urls(member.client_urls);
  return boost::json::serialize(out);
}

Result<void> write_auth(BboltWriter& writer, const auth::State& state) {
  auto done = bucket(writer, "auth", [&]() -> Result<void> {
    if (auto put = writer.put("authEnabled", std::string_view(state.enabled ? "\1" : "\0", 1)); !put) return put;
    return writer.put("authRevision", big_endian(state.revision));
  });
  if (!done) return done;
  done = bucket(writer, "authRoles", [&]() -> Result<void> {
    for (const auto& [name, role] : state.roles) {
      if (auto put = writer.put(name, auth::encode(role)); !put) return put;
    }
    return {};
  });
  if (!done) return done;
  return bucket(writer, "authUsers", [&]() -> Result<void> {
    for (const auto& [name, user] : state.users) {
      if (auto put = writer.put(name, auth::encode(user)); !put) return put;
    }
    return {};
  });
}

Result<void> write_meta(const engine::View& view, BboltWriter& writer, const Member& member) {
  auto head = view.get(mvcc::meta_key("head"));
  if (!head) return fail(head.error());
  const auto parsed = head->has_value() ? mvcc::parse_head(**head) : std::nullopt;
  if (!parsed) return fail(Code::kDataLoss, "the record of the last commit is missing or damaged");
  auto scheduled = number_of(view, "compact"), finished = number_of(view, "compacted");
  if (!scheduled) return fail(scheduled.error());
  if (!finished) return fail(finished.error());
  const std::string voters = fmt::format(R"({{"voters":[{}],"auto_leave":false}})", member.id);
  std::vector<std::pair<std::string_view, std::string>> entries = {
      {"confState", voters}, {"consistent_index", big_endian(parsed->commits + 1)}};
  if (*finished > 0) entries.emplace_back("finishedCompactRev", revision_key(*finished, 0, false));
  if (*scheduled > 0) entries.emplace_back("scheduledCompactRev", revision_key(*scheduled, 0, false));
  entries.emplace_back("storageVersion", kStorageVersion);
  entries.emplace_back("term", big_endian(2));
  for (const auto& [name, value] : entries) {
    if (auto put = writer.put(name, value); !put) return put;
  }
  return {};
}

}  // namespace

Result<uint64_t> write_database(const engine::View& view, const Member& member, int fd, const std::atomic<bool>& stop) {
  auto auth = auth_state(view);
  if (!auth) return fail(auth.error());
  BboltWriter writer(fd);
  auto alarms = view.get(mvcc::meta_key("alarms"));
  if (!alarms) return fail(alarms.error());
  Result<void> done = bucket(writer, "alarm", [&]() -> Result<void> {
    for (const char alarm : alarms->value_or("")) {
      etcd::Writer key;
      key.number(1, member.id);
      key.number(2, uint64_t(alarm));
      if (auto put = writer.put(key.take(), ""); !put) return put;
    }
    return {};
  });
  if (done) done = write_auth(writer, *auth);
  if (done) done = bucket(writer, "cluster", [&] { return writer.put("clusterVersion", kStorageVersion); });
  if (done) done = bucket(writer, "key", [&] { return write_keys(view, writer, stop); });
  if (done) done = bucket(writer, "lease", [&] { return write_leases(view, writer); });
  if (done) {
    done = bucket(writer, "members",
                  [&] { return writer.put(fmt::format("{:x}", member.id), member_json(member)); });
  }
  if (done) done = bucket(writer, "members_removed", [] { return Result<void>(); });
  if (done) done = bucket(writer, "meta", [&] { return write_meta(view, writer, member); });
  if (!done) return fail(done.error());
  return writer.finish();
}

}  // namespace rs::store::snapshot
