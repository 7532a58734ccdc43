#include "server/storage.h"

namespace rs::server {
namespace {
constexpr Duration kLeaseReuse = std::chrono::seconds(60);

store::Compare compare_mod(const std::string& key, int64_t revision) {
  store::Compare compare;
  compare.target = store::Compare::Target::kMod;
  compare.key = key;
  compare.number = revision;
  return compare;
}
store::Op put(std::string key, std::string value, store::LeaseId lease = 0) {
  store::PutRequest request;
  request.key = std::move(key);
  request.value = std::move(value);
  request.lease = lease;
  return request;
}
store::Op erase_key(std::string key) {
  store::DeleteRangeRequest request;
  request.key = std::move(key);
  return request;
}
}  // namespace

awaitable<Result<StoreOutcome>> Storage::run(std::string key, store::TxnRequest txn, Claims claims,
                                             int64_t expected_revision) {
  txn.compares.push_back(compare_mod(key, expected_revision));
  store::RangeRequest read;
  read.key = key;
  txn.failure.push_back(read);
  for (auto& [name, value] : claims.take) {
    txn.compares.push_back(compare_mod(name, 0));
    read.key = name;
    txn.failure.push_back(read);
    txn.success.push_back(put(std::move(name), std::move(value)));
  }
  for (auto& name : claims.release) txn.success.push_back(erase_key(std::move(name)));
  auto response = co_await core_.store.txn(std::move(txn));
  if (!response) co_return std::unexpected(response.error());
  StoreOutcome outcome;
  if (response->succeeded) {
    outcome.revision = response->revision;
    core_.cache.committed(response->revision);
    co_return outcome;
  }
  for (size_t i = 0; i < response->responses.size(); ++i) {
    const auto* range = std::get_if<store::RangeResponse>(&response->responses[i]);
    if (range == nullptr || range->kvs.empty()) continue;
    if (i == 0) outcome.current = range->kvs.front();
    else outcome.taken.push_back(range->kvs.front().key);
  }
  int64_t found = outcome.current ? outcome.current->mod_revision : 0;
  if (found == expected_revision) outcome.kind = StoreOutcome::Kind::kClaimed;
  else if (expected_revision == 0) outcome.kind = StoreOutcome::Kind::kExists;
  else outcome.kind = found == 0 ? StoreOutcome::Kind::kGone : StoreOutcome::Kind::kChanged;
  co_return outcome;
}

awaitable<Result<store::LeaseId>> Storage::lease(int64_t ttl_seconds) {
  if (lease_ == 0 || core_.loop.now() >= lease_until_) {
    MonoTime until = core_.loop.now() + kLeaseReuse;
    auto granted = co_await core_.store.lease_grant(ttl_seconds + 60);
    if (!granted) co_return std::unexpected(granted.error());
    lease_ = granted->id;
    lease_until_ = until;
  }
  co_return lease_;
}

awaitable<Result<StoreOutcome>> Storage::create(std::string key, std::string stored, int64_t ttl_seconds, Claims claims) {
  store::LeaseId id = 0;
  if (ttl_seconds > 0) {
    auto leased = co_await lease(ttl_seconds);
    if (!leased) co_return std::unexpected(leased.error());
    id = *leased;
  }
  store::TxnRequest txn;
  txn.success.push_back(put(key, std::move(stored), id));
  co_return co_await run(std::move(key), std::move(txn), std::move(claims), 0);
}

awaitable<Result<StoreOutcome>> Storage::update(std::string key, std::string stored, int64_t expected_revision,
                                                Claims claims) {
  store::PutRequest request;
  request.key = key;
  request.value = std::move(stored);
  request.ignore_lease = true;
  store::TxnRequest txn;
  txn.success.push_back(std::move(request));
  co_return co_await run(std::move(key), std::move(txn), std::move(claims), expected_revision);
}

awaitable<Result<StoreOutcome>> Storage::remove(std::string key, int64_t expected_revision, Claims claims) {
  store::TxnRequest txn;
  txn.success.push_back(erase_key(key));
  co_return co_await run(std::move(key), std::move(txn), std::move(claims), expected_revision);
}

}  // namespace rs::server
