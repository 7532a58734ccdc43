// Lease and health of EtcdService (reference etcd-api.md A.7, A.8).
#include "store/etcd/service.h"
#include "store/mvcc/errors.h"

namespace rs::store::etcd {

using net::grpc::StatusCode;

void EtcdService::add_lease() {
  method("/etcdserverpb.Lease/LeaseGrant", &EtcdService::lease_grant, Needs::kUser);
  method("/etcdserverpb.Lease/LeaseRevoke", &EtcdService::lease_revoke);
  method("/etcdserverpb.Lease/LeaseTimeToLive", &EtcdService::lease_time_to_live);
  method("/etcdserverpb.Lease/LeaseLeases", &EtcdService::lease_leases);
  // Names that LeaseRevoke and its like once had on the KV service live on only in the gateway.
}

void EtcdService::lease_grant(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  store_.submit_grant(fields->number(1), fields->number(2),
                      [this, responder = std::move(responder)](Result<LeaseGrant> grant) {
                        if (!grant) return responder->fail(to_status(grant.error()));
                        Writer out;
                        write_header(out, ids_, store_.revision());
                        out.number(2, uint64_t(grant->id));
                        out.number(3, uint64_t(grant->ttl_seconds));
                        responder->reply(out.take());
                      });
}

void EtcdService::lease_revoke(const Caller& caller, std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  if (auto refused = caller.refuse_lease(auth::Permission::Type::kWrite, fields->number(1)))
    return responder->fail(to_status(*refused));
  store_.submit_revoke(fields->number(1), [ids = ids_, responder = std::move(responder)](Result<Revision> revision) {
    if (!revision) return responder->fail(to_status(revision.error()));
    responder->reply(encode_header_only(ids, *revision));
  });
}

void EtcdService::lease_time_to_live(const Caller& caller, std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  // The keys of a lease are for who may read them; how long it lives, for everybody (CVE-2023-32082).
  auto refused = fields->number(2) != 0 ? caller.refuse_lease(auth::Permission::Type::kRead, fields->number(1))
                                        : caller.refuse(Needs::kUser);
  if (refused) return responder->fail(to_status(*refused));
  store_.submit_time_to_live(fields->number(1), fields->number(2) != 0,
                             [this, responder = std::move(responder)](Result<LeaseInfo> info) {
                               if (!info) return responder->fail(to_status(info.error()));
                               Writer out;
                               write_header(out, ids_, store_.revision());
                               out.number(2, uint64_t(info->id));
                               out.number(3, uint64_t(info->remaining_ttl_seconds));
                               out.number(4, uint64_t(info->granted_ttl_seconds));
                               for (const std::string& key : info->keys) out.element(5, key);
                               responder->reply(out.take());
                             });
}

void EtcdService::lease_leases(const Caller& caller, std::string_view, Responder responder) {
  if (auto refused = caller.refuse_all_leases()) return responder->fail(to_status(*refused));
  store_.submit_leases([this, responder = std::move(responder)](Result<std::vector<LeaseId>> leases) {
    if (!leases) return responder->fail(to_status(leases.error()));
    Writer out;
    write_header(out, ids_, store_.revision());
    for (LeaseId id : *leases) {
      out.message(2, [&](Writer& w) { w.number(1, uint64_t(id)); });
    }
    responder->reply(out.take());
  });
}

awaitable<net::grpc::Status> EtcdService::lease_keep_alive(net::grpc::ServerStream& stream) {
  while (true) {
    auto message = co_await stream.read();
    if (!message) co_return to_status(message.error());
    if (!message->has_value()) co_return net::grpc::Status{};
    auto fields = decode_fields(**message);
    if (!fields) co_return to_status(fields.error());
    LeaseId id = fields->number(1);
    if (auto refused = Caller(guard_, stream.info()).refuse_lease(auth::Permission::Type::kWrite, id))
      co_return to_status(*refused);
    auto ttl = co_await store_.lease_keep_alive(id);
    if (!ttl && ttl.error().code != Code::kNotFound) co_return to_status(ttl.error());
    Writer out;
    write_header(out, ids_, store_.revision());
    out.number(2, uint64_t(id));
    out.number(3, ttl ? uint64_t(*ttl) : 0);  // unknown or expired: TTL 0, not an error
    auto written = co_await stream.write(std::make_shared<const std::string>(out.take()));
    if (!written) co_return to_status(written.error());
  }
}

void EtcdService::health_check(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  if (!fields->text(1).empty()) return responder->fail({StatusCode::kNotFound, "unknown service"});
  Writer out;
  out.number(1, 1);  // SERVING
  responder->reply(out.take());
}

awaitable<net::grpc::Status> EtcdService::health_watch(net::grpc::ServerStream& stream) {
  auto message = co_await stream.read();
  if (!message) co_return to_status(message.error());
  auto fields = decode_fields(message->has_value() ? std::string_view(**message) : std::string_view());
  if (!fields) co_return to_status(fields.error());
  Writer out;
  out.number(1, fields->text(1).empty() ? 1 : 3);  // SERVING, SERVICE_UNKNOWN
  auto written = co_await stream.write(std::make_shared<const std::string>(out.take()));
  if (!written) co_return to_status(written.error());
  // Nothing changes until the client or the server goes.
  while (true) {
    auto more = co_await stream.read();
    if (!more) co_return to_status(more.error());
    if (!more->has_value()) co_await loop_.sleep(std::chrono::hours(24));
  }
}

}  // namespace rs::store::etcd
