#include "store/snapshot/snapshot.h"

#include <openssl/evp.h>

#include "base/crc32c.h"
#include "store/auth/state.h"
#include "store/etcd/messages.h"
#include "store/mvcc/record.h"

namespace rs::store::snapshot {
namespace {

constexpr size_t kReadBytes = 1 << 20;
constexpr size_t kBatchBytes = 4 << 20;
constexpr int64_t kProgressRecords = 100'000;

uint64_t big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | uint8_t(c);
  return value;
}

struct RevisionKey {
  Revision main = 0;
  uint64_t sub = 0;
  bool tombstone = false;
};
std::optional<RevisionKey> parse_revision(std::string_view key) {
  if (key.size() < 17 || key.size() > 18 || key[8] != '_' || (key.size() == 18 && key[17] != 't')) return std::nullopt;
  RevisionKey out{Revision(big_endian(key.substr(0, 8))), big_endian(key.substr(9, 8)), key.size() == 18};
  if (out.main < 1 || out.sub >= (1u << 31)) return std::nullopt;
  return out;
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", uint8_t(c));
  return out;
}

// Turns the key bucket's entries into records. One entry is held back: whether it is the last of its revision shows the
// next one.
class KeyRestore {
 public:
  KeyRestore(engine::Engine& engine, const RestoreOptions& options) : engine_(engine), options_(options) {}

  Result<void> add(std::string_view key, std::string_view message) {
    const auto revision = parse_revision(key);
    if (!revision) return fail(Code::kDataLoss, "the snapshot has a key that is no revision: {}", hex(key.substr(0, 32)));
    // 1 is the revision of the empty store: nothing was ever written at it, and no store would open with it.
    if (revision->main < 2)
      return fail(Code::kDataLoss, "the snapshot has a key before the first revision: {}", revision->main);
    etcd::Reader in(message);
    mvcc::Record record{.main = revision->main, .sub = uint32_t(revision->sub), .tombstone = revision->tombstone};
    std::string name, value;
    while (in.next()) {
      switch (in.field()) {
        case 1: name = in.text(); break;
        case 2: record.create = in.signed_number(); break;
        case 4: record.version = in.signed_number(); break;
        case 5: value = in.text(); break;
        case 6: record.lease = in.signed_number(); break;
        default: break;
      }
    }
    if (!in.ok() || name.empty())
      return fail(Code::kDataLoss, "revision {}/{} of the snapshot cannot be understood", record.main, record.sub);
    if (record.tombstone) {
      record.create = record.version = record.lease = 0;
      value.clear();
    }
    if (auto written = put_held(record.main); !written) return written;
    held_ = record;
    name_ = std::move(name);
    value_ = std::move(value);
    return {};
  }

  Result<void> put_held(Revision following) {
    if (!held_) return {};
    held_->last = following != held_->main;
    held_->key = name_;
    held_->value_bytes = uint32_t(value_.size());
    mvcc::put_record(batch, *held_, value_);
    last_revision = held_->main;
    held_.reset();
    if (++records % kProgressRecords == 0 && options_.progress) options_.progress(records);
    if (batch.bytes() < kBatchBytes) return {};
    auto written = engine_.write(batch, false);
    batch.clear();
    return written;
  }

  engine::Batch batch;
  int64_t records = 0;
  Revision last_revision = 1;

 private:
  engine::Engine& engine_;
  const RestoreOptions& options_;
  std::optional<mvcc::Record> held_;
  std::string name_, value_;
};

Result<auth::State> read_auth(const BboltReader& reader) {
  auth::State state;
  auto enabled = reader.get("auth", "authEnabled"), revision = reader.get("auth", "authRevision");
  if (!enabled) return fail(enabled.error());
  if (!revision) return fail(revision.error());
  state.enabled = *enabled == "\1";
  if (revision->size() == 8) state.revision = big_endian(*revision);
  std::optional<Error> error;
  auto visited = reader.visit("authUsers", [&](auto name, auto message) {
    auto user = auth::decode_user(message);
    if (user) state.users.emplace(name, std::move(*user));
    else error = user.error();
    return !error;
  });
  if (visited && !error) {
    visited = reader.visit("authRoles", [&](auto name, auto message) {
      auto role = auth::decode_role(message);
      if (role) state.roles.emplace(name, std::move(*role));
      else error = role.error();
      return !error;
    });
  }
  if (!visited) return fail(visited.error());
  if (error) return fail(*error);
  return state;
}

// Reads below it fail. etcd notes what it set out to compact, and what it has finished.
Result<Revision> compact_revision(const BboltReader& reader) {
  Revision highest = 0;
  for (const std::string_view name : {"scheduledCompactRev", "finishedCompactRev"}) {
    auto text = reader.get("meta", name);
    if (!text) return fail(text.error());
    if (text->empty()) continue;
    const auto revision = parse_revision(*text);
    if (!revision) return fail(Code::kDataLoss, "the snapshot's {} is damaged", name);
    highest = std::max(highest, revision->main);
  }
  return highest;
}

}  // namespace

Result<std::string> checksum(const Source& source, uint64_t bytes) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  for (uint64_t offset = 0; offset < bytes; offset += kReadBytes) {
    auto read = source.read(offset, size_t(std::min<uint64_t>(kReadBytes, bytes - offset)));
    if (!read) return read;
    EVP_DigestUpdate(context.get(), read->data(), read->size());
  }
  std::string out(kChecksumBytes, 0);
  EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(out.data()), nullptr);
  return out;
}

Result<uint64_t> verified_bytes(const Source& source, bool skip_check) {
  // Pages are of 512 bytes and more: what is left over is the checksum.
  const uint64_t size = source.size();
  const bool has_hash = size % 512 == kChecksumBytes;
  if (!has_hash) {
    if (!skip_check) return fail(Code::kBadRequest, "snapshot missing hash but --skip-hash-check=false");
    return size;
  }
  const uint64_t bytes = size - kChecksumBytes;
  if (skip_check) return bytes;
  auto expected = source.read(bytes, kChecksumBytes);
  if (!expected) return fail(expected.error());
  auto got = checksum(source, bytes);
  if (!got) return fail(got.error());
  if (*got != *expected)
    return fail(Code::kDataLoss, "the snapshot is damaged: expected sha256 {}, got {}", hex(*expected), hex(*got));
  return bytes;
}

Result<Summary> summarize(const BboltReader& reader) {
  Summary out;
  std::vector<std::string> names;
  auto visited = reader.visit_buckets([&](auto name) {
    names.emplace_back(name);
    return true;
  });
  for (const std::string& name : names) {
    if (!visited) break;
    out.hash = crc32c(out.hash, name);
    visited = reader.visit(name, [&](auto key, auto value) {
      out.hash = crc32c(crc32c(out.hash, key), value);
      ++out.keys;
      if (name == "key") {
        if (auto revision = parse_revision(key)) out.revision = revision->main;
      }
      return true;
    });
  }
  if (!visited) return fail(visited.error());
  out.bytes = reader.database_bytes();
  auto version = reader.get("meta", "storageVersion");
  if (!version) return fail(version.error());
  out.version = *version;
  return out;
}

Result<Restored> restore(const BboltReader& reader, engine::Engine& engine, const RestoreOptions& options) {
  Restored out;
  auto compacted = compact_revision(reader);
  if (!compacted) return fail(compacted.error());
  KeyRestore keys(engine, options);
  Result<void> added;
  auto visited = reader.visit("key", [&](auto key, auto message) {
    added = keys.add(key, message);
    return added.has_value();
  });
  if (!visited) return fail(visited.error());
  if (added) added = keys.put_held(0);
  if (!added) return fail(added.error());
  if (keys.records == 0 && *compacted == 0) {
    // An empty store is one too; another program's database is none of ours.
    auto meta = reader.get("meta", "consistent_index");
    if (!meta) return fail(meta.error());
    if (meta->empty()) return fail(Code::kDataLoss, "this is a bbolt database, but not etcd's");
  }

  std::optional<Error> damaged;
  visited = reader.visit("lease", [&](auto key, auto message) {
    auto fields = etcd::decode_fields(message);
    if (key.size() != 8 || !fields) {
      damaged = Error{Code::kDataLoss, "a lease of the snapshot cannot be understood"};
      return false;
    }
    mvcc::put_lease(keys.batch, {.id = fields->number(1),
                                 .ttl_seconds = fields->number(2),
                                 .remaining_seconds = std::max<int64_t>(0, fields->number(3))});
    ++out.leases;
    return true;
  });
  if (!visited) return fail(visited.error());
  if (damaged) return fail(*damaged);
  auto auth = read_auth(reader);
  if (!auth) return fail(auth.error());
  if (*auth != auth::State{}) keys.batch.put(mvcc::meta_key(auth::kNote), auth::encode(*auth));

  out.records = keys.records;
  out.users = int64_t(auth->users.size());
  out.revision = std::max(keys.last_revision, *compacted) + options.bump_revision;
  out.compact_revision = options.bump_revision > 0 ? out.revision : *compacted;
  if (out.compact_revision > 0) mvcc::put_number(keys.batch, "compact", out.compact_revision);
  mvcc::put_head(keys.batch, {out.revision, 0});
  std::string ids;
  for (uint64_t id : {options.cluster_id, options.member_id}) ids.append(reinterpret_cast<const char*>(&id), sizeof id);
  keys.batch.put(mvcc::meta_key("ids"), ids);
  if (auto written = engine.write(keys.batch, true); !written) return fail(written.error());
  return out;
}

}  // namespace rs::store::snapshot
