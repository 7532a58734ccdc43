#include "store/etcd/lock_service.h"

#include "store/etcd/service.h"

namespace rs::store::etcd {

LockService::LockService(WaitingLine& line, Ids ids, Methods& methods) : line_(line), ids_(ids) {
  methods.unary("/v3lockpb.Lock/Lock", [this](const net::grpc::CallInfo& info,
                                              std::string_view message, Responder responder) {
    auto fields = decode_fields(message);
    if (!fields) return responder->fail(to_status(fields.error()));
    line_.spawn(info, message.size(), std::move(responder),
                [this, name = std::string(fields->text(1)), lease = LeaseId(fields->number(2))](
                    WaitingCall& call) { return lock(call, name, lease); });
  });
  methods.unary("/v3lockpb.Lock/Unlock", [this](const net::grpc::CallInfo& info,
                                                std::string_view message, Responder responder) {
    auto fields = decode_fields(message);
    if (!fields) return responder->fail(to_status(fields.error()));
    line_.spawn(info, message.size(), std::move(responder),
                [this, key = std::string(fields->text(1))](WaitingCall& call) {
                  return unlock(call, key);
                });
  });
}

awaitable<void> LockService::lock(WaitingCall& call, std::string name, LeaseId lease) {
  auto place = co_await line_.enter(call, name, lease, "");
  if (!place) co_return call.fail(place.error());
  auto revision = co_await line_.turn(call, *place);
  if (!revision) {
    line_.leave(*place);
    // Who lost the key while waiting must not be told that it holds the lock (jepsen-io/etcd#1,
    // etcd-io/etcd#11456).
    if (revision.error().code == Code::kConflict)
      co_return call.fail({Code::kConflict, "mutex: session is expired"});
    co_return call.fail(revision.error());
  }
  Writer out;
  write_header(out, ids_, *revision);
  out.bytes(2, place->key);
  call.reply(out.take());
}

awaitable<void> LockService::unlock(WaitingCall& call, std::string key) {
  TxnRequest request;
  request.success.emplace_back(DeleteRangeRequest{.key = std::move(key)});
  auto deleted = co_await line_.txn(call.who, std::move(request));
  if (!deleted) co_return call.fail(deleted.error());
  call.reply(encode_header_only(ids_, deleted->revision));
}

}  // namespace rs::store::etcd
