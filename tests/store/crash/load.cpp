#include "load.h"

#include "async/task_group.h"
#include "store/etcd/wire.h"

namespace rs::store::crash {
namespace {

using net::grpc::StatusCode;
constexpr auto kTimeout = std::chrono::seconds(30);
constexpr int64_t kTtlSeconds = 3600;  // no lease ends by itself within a run

struct Encoded {
  const char* method;
  std::string message;
};

Encoded encode(const Request& request) {
  if (auto* range = std::get_if<RangeRequest>(&request))
    return {"/etcdserverpb.KV/Range", etcd::encode(*range)};
  if (auto* put = std::get_if<PutRequest>(&request))
    return {"/etcdserverpb.KV/Put", etcd::encode(*put)};
  if (auto* erase = std::get_if<DeleteRangeRequest>(&request))
    return {"/etcdserverpb.KV/DeleteRange", etcd::encode(*erase)};
  if (auto* txn = std::get_if<TxnRequest>(&request))
    return {"/etcdserverpb.KV/Txn", etcd::encode(*txn)};
  if (auto* compact = std::get_if<CompactRequest>(&request))
    return {"/etcdserverpb.KV/Compact", etcd::encode_compaction(compact->revision, false)};
  if (auto* grant = std::get_if<GrantRequest>(&request))
    return {"/etcdserverpb.Lease/LeaseGrant",
            etcd::encode_lease_grant(grant->ttl_seconds, grant->id)};
  if (auto* revoke = std::get_if<RevokeRequest>(&request))
    return {"/etcdserverpb.Lease/LeaseRevoke", etcd::encode_lease_id(revoke->id)};
  return {"/etcdserverpb.Lease/LeaseTimeToLive",
          etcd::encode_lease_time_to_live(std::get<TimeToLiveRequest>(request).id, true)};
}

template <class T>
Result<Response> as_response(Result<T> decoded) {
  if (!decoded) return fail(decoded.error());
  return Response(std::move(*decoded));
}

Result<Response> decode(const Request& request, std::string_view message) {
  if (std::holds_alternative<RangeRequest>(request))
    return as_response(etcd::decode_range_response(message));
  if (std::holds_alternative<PutRequest>(request))
    return as_response(etcd::decode_put_response(message));
  if (std::holds_alternative<DeleteRangeRequest>(request))
    return as_response(etcd::decode_delete_response(message));
  if (std::holds_alternative<TxnRequest>(request))
    return as_response(etcd::decode_txn_response(message));
  if (std::holds_alternative<GrantRequest>(request) ||
      std::holds_alternative<TimeToLiveRequest>(request))
    return as_response(etcd::decode_lease_answer(message));
  auto revision = etcd::decode_header_revision(message);
  if (!revision) return fail(revision.error());
  return Response(HeaderOnly{*revision});
}

// Statuses of calls that were refused as a whole. Whether a call with any other was done, nobody
// knows.
bool refusal(StatusCode code) {
  return code == StatusCode::kInvalidArgument || code == StatusCode::kNotFound ||
         code == StatusCode::kOutOfRange || code == StatusCode::kResourceExhausted ||
         code == StatusCode::kFailedPrecondition || code == StatusCode::kDataLoss;
}

constexpr std::string_view kNoSpace = "etcdserver: mvcc: database space exceeded";

}  // namespace

awaitable<bool> disarm_no_space(net::grpc::Client& client) {
  etcd::Writer out;
  out.number(1, 2);  // DEACTIVATE
  out.number(3, 1);  // NOSPACE
  auto answer = co_await client.call("/etcdserverpb.Maintenance/Alarm", out.take(), {}, kTimeout);
  co_return answer.has_value();
}

Load::Load(async::Loop& loop, Recorder& recorder, WatchStreams& watches, LoadOptions options,
           uint64_t seed)
    : loop_(loop),
      recorder_(recorder),
      watches_(watches),
      options_(options),
      random_(seed),
      network_(loop) {}

awaitable<bool> Load::call(net::grpc::Client& client, int who, Request request) {
  auto [method, message] = encode(request);
  if (auto* compact = std::get_if<CompactRequest>(&request))
    recorder_.compacted = std::max(recorder_.compacted, compact->revision);
  const size_t number = recorder_.begin(who, request);
  net::grpc::Status status;
  auto answer = co_await client.call(method, std::move(message), {}, kTimeout, &status);
  if (answer) {
    auto decoded = decode(request, *answer);
    recorder_.done(number, decoded ? std::move(*decoded) : Response());
    co_return true;
  }
  if (!refusal(status.code)) co_return status.message == "etcdserver: request timed out";
  refused_for_space_ += status.message == kNoSpace;
  refused_as_corrupt_ += status.code == StatusCode::kDataLoss;
  recorder_.refused(number, status.message);
  if (status.message == kNoSpace && random_.chance(0.2)) (void)co_await disarm_no_space(client);
  co_return true;
}

awaitable<void> Load::run_client(const net::Address& address, int who, size_t& left,
                                 const std::function<void()>& at_end) {
  net::grpc::Client client(loop_, network_, address, {});
  while (left > 0 || at_end) {
    if (left > 0 && --left == 0 && at_end) at_end();
    if (!co_await call(client, who, any())) co_return;
    if (random_.chance(0.08)) co_await watches_.act();
  }
}

awaitable<void> Load::run(const net::Address& address, size_t calls, std::function<void()> at_end) {
  async::TaskGroup clients(loop_);
  for (int who = 0; who < options_.clients; ++who)
    clients.spawn("client", run_client(address, who, calls, at_end));
  co_await clients.join();
}

awaitable<bool> Load::read_all(const net::Address& address) {
  net::grpc::Client client(loop_, network_, address, {});
  const int who = options_.clients;
  const std::string everything(1, '\0');
  std::vector<Request> requests = {RangeRequest{.key = everything, .range_end = everything}};
  for (int i = 0; i < 6; ++i) {
    const Revision lowest = std::max<Revision>(1, recorder_.compacted);
    requests.emplace_back(
        RangeRequest{.key = everything,
                     .range_end = everything,
                     .revision = random_.between(lowest, std::max(lowest, recorder_.known()))});
  }
  for (LeaseId id : recorder_.leases) requests.emplace_back(TimeToLiveRequest{id});
  for (Request& request : requests) {
    if (!co_await call(client, who, std::move(request))) co_return false;
  }
  co_return true;
}

std::string Load::any_key() {
  return fmt::format("{}/{}", random_.chance(0.5) ? "a" : "b", random_.below(4));
}

std::string Load::any_value() {
  std::string value = fmt::format("v{}", ++values_);  // told from any other
  if (options_.value_bytes > 64) value.resize(64 + random_.below(options_.value_bytes - 64), '.');
  return value;
}

LeaseId Load::any_lease() {
  const auto& leases = recorder_.leases;
  if (leases.empty()) return 999;  // there is no such lease
  const size_t recent = std::min<size_t>(leases.size(), 4);
  return leases[leases.size() - 1 - random_.below(recent)];
}

PutRequest Load::any_put(const std::string& key) {
  PutRequest put{.key = key, .value = any_value()};
  if (random_.chance(0.2)) put.lease = any_lease();
  put.prev_kv = random_.chance(0.3);
  return put;
}

Request Load::any_range() {
  RangeRequest range{.key = any_key()};
  const uint64_t what = random_.below(4);
  if (what == 0) range = {.key = "a/", .range_end = "b0"};
  if (what == 1) range = {.key = random_.chance(0.5) ? "a/" : "b/", .range_end = {}};
  if (what == 1) range.range_end = prefix_end(range.key);
  if (random_.chance(0.2)) range.limit = random_.between(1, 3);
  range.count_only = random_.chance(0.1);
  range.serializable = random_.chance(0.2);
  if (random_.chance(0.4))
    range.revision =
        random_.between(std::max<Revision>(1, recorder_.compacted - 2), recorder_.known() + 1);
  return range;
}

TxnRequest Load::any_txn() {
  TxnRequest txn;
  const std::string key = any_key();
  std::string other = any_key();
  while (other == key) other = any_key();
  const RangeRequest both{.key = "a/", .range_end = "b0"};
  switch (random_.below(5)) {
    case 0:  // kube-apiserver's update
      txn.compares = {{.target = Compare::Target::kMod,
                       .key = key,
                       .number = random_.between(recorder_.known() - 10, recorder_.known())}};
      txn.success = {any_put(key)};
      txn.failure = {RangeRequest{.key = key}};
      break;
    case 1:  // create, or clear
      txn.compares = {{.target = Compare::Target::kVersion, .key = key, .number = 0}};
      txn.success = {any_put(key), any_put(other)};
      txn.failure = {
          DeleteRangeRequest{
              .key = key.substr(0, 2), .range_end = prefix_end(key.substr(0, 2)), .prev_kv = true},
          both};
      break;
    case 2:  // move
      txn.compares = {{.result = Compare::Result::kGreater,
                       .target = Compare::Target::kCreate,
                       .key = key,
                       .number = 0}};
      txn.success = {DeleteRangeRequest{.key = key}, any_put(other), RangeRequest{.key = other}};
      txn.failure = {any_put(key), RangeRequest{.key = key}};
      break;
    case 3:  // two keys that always change together
      txn.compares = {{.result = Compare::Result::kNotEqual,
                       .target = Compare::Target::kValue,
                       .key = key,
                       .value = "v1"}};
      txn.success = {any_put(key), any_put(other), both};
      txn.failure = {any_put(other)};
      break;
    default:
      txn.success = {RangeRequest{.key = key}, both};
  }
  return txn;
}

Request Load::any() {
  const uint64_t what = random_.below(100);
  if (what < 32) return any_put(any_key());
  if (what < 38) return DeleteRangeRequest{.key = any_key(), .prev_kv = random_.chance(0.5)};
  if (what < 41) return DeleteRangeRequest{.key = "a/", .range_end = "a/2"};
  if (what < 62) return any_txn();
  if (what < 84) return any_range();
  if (what < 88) {
    recorder_.leases.push_back(++next_lease_);
    return GrantRequest{next_lease_, kTtlSeconds};
  }
  if (what < 91) return RevokeRequest{any_lease()};
  if (what < 98) return TimeToLiveRequest{any_lease()};
  return CompactRequest{std::max<Revision>(1, recorder_.told_everybody - random_.between(0, 30))};
}

}  // namespace rs::store::crash
