// Maintenance of EtcdService (reference etcd-api.md A.8).
#include "store/etcd/peer_url.h"
#include "store/etcd/service.h"
#include "store/mvcc/errors.h"
#include "store/mvcc/machine.h"
#include "store/mvcc/watch_hub.h"

namespace rs::store::etcd {

using net::grpc::StatusCode;

void EtcdService::add_maintenance() {
  method("/etcdserverpb.Maintenance/Alarm", &EtcdService::alarm);
  stream("/etcdserverpb.Maintenance/Snapshot", &EtcdService::snapshot);
  method("/etcdserverpb.Maintenance/Status", &EtcdService::status, Needs::kUser);
  method("/etcdserverpb.Maintenance/Defragment", &EtcdService::defragment);
  method("/etcdserverpb.Maintenance/Hash", &EtcdService::hash);
  method("/etcdserverpb.Maintenance/HashKV", &EtcdService::hash_kv);
  method("/etcdserverpb.Maintenance/MoveLeader", &EtcdService::move_leader);
  method("/etcdserverpb.Maintenance/Downgrade", &EtcdService::downgrade);
}

void EtcdService::write_alarms(Writer& out, int64_t only) const {
  for (Alarm alarm : store_.alarms()) {
    if (only != 0 && only != int64_t(alarm)) continue;
    out.message(2, [&](Writer& w) {
      w.number(1, ids_.member);
      w.number(2, uint64_t(alarm));
    });
  }
}

void EtcdService::alarm(const Caller& caller, std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  int64_t action = fields->number(1), which = fields->number(3);
  if (auto refused = caller.refuse(action == 0 ? Needs::kUser : Needs::kRoot))
    return responder->fail(to_status(*refused));
  auto member = uint64_t(fields->number(2));
  bool ours = member == 0 || member == ids_.member;
  if (action == 0 || !ours || which < 1 || which > 2) {
    Writer out;
    write_header(out, ids_, store_.revision());
    if (action == 0 && ours) write_alarms(out, which);
    return responder->reply(out.take());
  }
  auto held = store_.alarms();
  bool was = std::find(held.begin(), held.end(), Alarm(which)) != held.end();
  store_.submit_alarm(Alarm(which), action == 1,
                      [this, which, action, was, responder = std::move(responder)](Result<Revision> done) {
                        if (!done) return responder->fail(to_status(done.error()));
                        Writer out;
                        write_header(out, ids_, *done);
                        if (action == 1 || was) {
                          out.message(2, [&](Writer& w) {
                            w.number(1, ids_.member);
                            w.number(2, uint64_t(which));
                          });
                        }
                        responder->reply(out.take());
                      });
}

void EtcdService::status(std::string_view, Responder responder) {
  Status status = store_.try_status();
  auto index = uint64_t(status.revision);
  Writer out;
  write_header(out, ids_, status.revision);
  out.bytes(2, kEtcdVersion);
  out.number(3, uint64_t(status.db_size_bytes));
  out.number(4, ids_.member);
  out.number(5, index);
  out.number(6, ids_.term);
  out.number(7, index);
  for (const std::string& name : status.alarms)
    out.element(8, fmt::format("memberID:{} alarm:{} ", ids_.member, name));
  out.number(9, uint64_t(std::min(status.live_bytes, status.db_size_bytes)));
  out.bytes(11, kClusterVersion);
  out.number(12, uint64_t(store_.quota_bytes()));
  out.message(13, [](Writer&) {});
  responder->reply(out.take());
}

// Space comes back by itself: there is nothing to defragment, and nothing stops meanwhile.
void EtcdService::defragment(std::string_view, Responder responder) {
  if (latencies_.defragment != nullptr) latencies_.defragment->observe(0);
  responder->reply({});
}

void EtcdService::hash(std::string_view, Responder responder) {
  tasks_.spawn("hash", answer_hash(0, false, std::move(responder)));
}

void EtcdService::hash_kv(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  tasks_.spawn("hash", answer_hash(fields->number(1), true, std::move(responder)));
}

awaitable<void> EtcdService::answer_hash(Revision revision, bool with_revisions, Responder responder) {
  const MonoTime began = loop_.now();
  ++counts_.hashes;
  auto result = co_await store_.hash_kv(revision);
  --counts_.hashes;
  metrics::Histogram* const took = with_revisions ? latencies_.hash_kv : latencies_.hash;
  if (took != nullptr) took->observe(std::chrono::duration<double>(loop_.now() - began).count());
  if (!result) {
    responder->fail(to_status(result.error()));
    co_return;
  }
  Writer out;
  write_header(out, ids_, store_.revision());
  out.number(2, result->hash);
  if (with_revisions) {
    out.number(3, uint64_t(result->compact_revision));
    out.number(4, uint64_t(result->hash_revision));
  }
  responder->reply(out.take());
}

void EtcdService::move_leader(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  if (uint64_t(fields->number(1)) != ids_.member)
    return responder->fail({StatusCode::kFailedPrecondition, "etcdserver: bad leader transferee"});
  responder->reply({});  // without a header, as etcd
}

void EtcdService::downgrade(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  const int64_t action = fields->number(1);
  if (action < 0 || action > 2) return responder->fail({StatusCode::kUnknown, "etcdserver: unknown method"});
  if (action == 2)
    return responder->fail({StatusCode::kFailedPrecondition, "etcdserver: no inflight downgrade job"});
  if (!parse_cluster_version(fields->text(2)))
    return responder->fail({StatusCode::kInvalidArgument, "etcdserver: wrong downgrade target version format"});
  // There is no older file format to go back to: no target is a valid one.
  responder->fail({StatusCode::kInvalidArgument, "etcdserver: invalid downgrade target version"});
}

}  // namespace rs::store::etcd
