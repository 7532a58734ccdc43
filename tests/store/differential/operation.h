// Operation: one request as both servers get it. Generator: a seeded, endless sequence of them.
// Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "store/store.h"
#include "wire_text.h"

namespace rs::store::differential {

// What is peculiar about a request, for the list of allowed differences.
enum Oddity : uint32_t {
  kPlain = 0,
  kUnknownSortOrder = 1,  // a sort order that the API does not have
  kDamaged = 2,           // bytes that may be no protobuf
  kOnlyOurs = 4,          // not sent to etcd: its answers mean something only among its own kind
  kAfterRestart = 8,      // both servers were restarted since leases were granted
};

struct Operation {
  const char* method = "";
  std::string request;
  const MessageType* request_type = nullptr;
  const MessageType* response_type = nullptr;
  bool changes = false;  // may change the store: sent alone, all others in between together
  uint32_t oddities = kPlain;
};
std::string to_text(const Operation& operation);

struct GeneratorOptions {
  size_t keys = 11;   // few, so that operations meet; more than 12 make etcd's sort unstable
  bool sorts = true;  // by other than the key
};

class Generator {
 public:
  Generator(uint64_t seed, GeneratorOptions options);
  // What the last answers said; revisions are chosen around it.
  void learn(Revision current, Revision compacted);
  Operation next();
  // Compactions come only when asked for, so that watchers can be at rest.
  Operation compaction();
  Random& random() { return random_; }
  std::string any_key();
  std::string any_range_end(const std::string& key);
  Revision current() const { return current_; }
  Revision compacted() const { return compacted_; }

 private:
  Operation candidate();
  Operation range();
  Operation put();
  Operation erase();
  Operation txn();
  Operation huge();
  Operation lease();
  Operation odd();
  RangeRequest any_range(bool in_txn);
  PutRequest any_put();
  DeleteRangeRequest any_delete();
  Compare any_compare();
  TxnRequest any_txn(int depth, std::vector<std::string>* unused);
  Op any_op(int depth, std::vector<std::string>* unused);
  Revision any_revision();
  LeaseId any_lease();
  std::string any_value();
  bool percent(int chance) { return int(random_.below(100)) < chance; }
  std::string damaged(std::string message);
  // Could this go to etcd without leaving the generator's keys, or crashing etcd 3.4?
  bool harmless(const Operation& operation) const;
  bool known_keys(const TxnRequest& request) const;
  bool known(const std::string& key) const;

  Random random_;
  const GeneratorOptions options_;
  std::vector<std::string> keys_;
  Revision current_ = 1, compacted_ = 0;
};

Operation make_put(const PutRequest& request);
Operation make_range(const RangeRequest& request);
Operation make_delete(const DeleteRangeRequest& request);
Operation make_txn(const TxnRequest& request);
Operation make_compaction(Revision revision, bool physical);
Operation make_grant(int64_t ttl_seconds, LeaseId id);
Operation make_revoke(LeaseId id);
Operation make_time_to_live(LeaseId id, bool keys);
Operation make_leases();
Operation make_hash_kv(Revision revision);

}  // namespace rs::store::differential
