#include "store/etcd/service.h"

#include "base/log.h"
#include "base/random.h"
#include "store/etcd/gateway/gateway.h"
#include "store/etcd/gateway/json_text.h"
#include "store/etcd/watch_stream.h"
#include "store/mvcc/errors.h"
#include "store/mvcc/validate.h"

namespace rs::store::etcd {

using net::grpc::StatusCode;

namespace {
constexpr size_t kGrpcOverheadBytes = 512 * 1024;  // embed/config.go: what may be around a request of the largest size
constexpr Duration kTokenLife = std::chrono::seconds(300);

std::shared_ptr<auth::Tokens> tokens_of(const Clock& clock, const EtcdOptions& options) {
  return options.tokens ? options.tokens : auth::make_simple_tokens(clock, kTokenLife, secure_bytes);
}

// v3rpc/interceptor.go: the version is a label of a metric there.
std::optional<net::grpc::Status> check_client_version(const net::Headers& metadata) {
  std::string_view version = metadata.get("client-api-version");
  if (gateway::is_utf8(version)) return std::nullopt;
  return net::grpc::Status{StatusCode::kInvalidArgument, "etcdserver: invalid client api version"};
}

Result<void> load(Guard& guard) {
  auto loaded = guard.load();
  if (!loaded) log::error("auth", "the users and roles are lost: all is refused", {{"why", to_string(loaded.error())}});
  return loaded;
}

}  // namespace

net::grpc::Status to_status(const Error& error) {
  StatusCode code = StatusCode::kUnknown;
  switch (error.code) {
    case Code::kBadRequest:
    case Code::kInvalid: code = StatusCode::kInvalidArgument; break;
    case Code::kOutOfRange: code = StatusCode::kOutOfRange; break;
    case Code::kNotFound: code = StatusCode::kNotFound; break;
    case Code::kFailedPrecondition: code = StatusCode::kFailedPrecondition; break;
    case Code::kResourceExhausted: code = StatusCode::kResourceExhausted; break;
    case Code::kForbidden: code = StatusCode::kPermissionDenied; break;
    case Code::kUnauthorized: code = StatusCode::kUnauthenticated; break;
    case Code::kDataLoss: code = StatusCode::kDataLoss; break;
    case Code::kUnavailable:
    case Code::kServiceUnavailable: code = StatusCode::kUnavailable; break;
    case Code::kTimeout: code = StatusCode::kDeadlineExceeded; break;
    case Code::kCancelled: code = StatusCode::kCancelled; break;
    case Code::kUnimplemented: code = StatusCode::kUnimplemented; break;
    case Code::kInternalError: code = StatusCode::kInternal; break;
    default: break;
  }
  return {code, error.message};
}

EtcdService::EtcdService(async::Loop& loop, Embedded& store, EtcdOptions options)
    : loop_(loop),
      store_(store),
      options_(std::move(options)),
      ids_{store.identity().cluster, store.identity().member, 2},
      latencies_(options_.metrics),
      health_(store),
      guard_(loop, store, tokens_of(loop.clock(), options_), options_.guard),
      auth_loaded_(load(guard_)),
      auth_(guard_, store, ids_, methods_, options_.max_request_bytes),
      line_(loop, store, guard_, options_.max_request_bytes),
      lock_(line_, ids_, methods_),
      election_(loop, store, guard_, line_, ids_, methods_),
      tasks_(loop) {
  add_kv();
  add_watch();
  add_lease();
  add_cluster();
  add_maintenance();
  if (options_.measure_calls) methods_.measure();
  gateway_ = std::make_unique<gateway::Gateway>(loop_, methods_, options_.max_request_bytes + kGrpcOverheadBytes);
  tasks_.spawn("watch progress", notify_progress());
}

EtcdService::~EtcdService() = default;

awaitable<void> EtcdService::stop() {
  co_await line_.stop();
  co_await tasks_.stop();
}

net::grpc::ServerOptions EtcdService::server_options() {
  net::grpc::ServerOptions options;
  options.message_bytes = options_.max_request_bytes + kGrpcOverheadBytes;
  // JSON has base64 and escapes in place of bytes.
  options.limits.body_bytes = 2 * options.message_bytes;
  options.admit = [this](const net::Headers& metadata, bool streaming) {
    auto refused = check_client_version(metadata);
    if (!refused) count_request(metadata, streaming);
    return refused;
  };
  options.stopped = to_status(errors::stopped());
  options.http_handler = [this](net::Request& request, net::ResponseWriter& writer) { return http(request, writer); };
  return options;
}

void EtcdService::method(std::string path, Method method, Needs needs) {
  methods_.unary(std::move(path),
                 [this, method, needs](const net::grpc::CallInfo& info, std::string_view message, Responder responder) {
                   if (auto refused = Caller(guard_, info).refuse(needs)) return responder->fail(to_status(*refused));
                   (this->*method)(message, std::move(responder));
                 });
}

void EtcdService::method(std::string path, CheckingMethod method) {
  methods_.unary(std::move(path),
                 [this, method](const net::grpc::CallInfo& info, std::string_view message, Responder responder) {
                   (this->*method)(Caller(guard_, info), message, std::move(responder));
                 });
}

void EtcdService::stream(std::string path, StreamMethod method, Needs needs) {
  methods_.streaming(std::move(path), [this, method, needs](net::grpc::ServerStream& stream) {
    return needs == Needs::kNothing ? (this->*method)(stream) : guarded(method, needs, stream);
  });
}

awaitable<net::grpc::Status> EtcdService::guarded(StreamMethod method, Needs needs, net::grpc::ServerStream& stream) {
  if (auto refused = Caller(guard_, stream.info()).refuse(needs)) co_return to_status(*refused);
  co_return co_await (this->*method)(stream);
}

void EtcdService::add_watch() {
  stream("/etcdserverpb.Watch/Watch", &EtcdService::watch, Needs::kNothing);
  stream("/etcdserverpb.Lease/LeaseKeepAlive", &EtcdService::lease_keep_alive, Needs::kNothing);
  stream("/grpc.health.v1.Health/Watch", &EtcdService::health_watch, Needs::kNothing);
  method("/grpc.health.v1.Health/Check", &EtcdService::health_check, Needs::kNothing);
}

void EtcdService::add_kv() {
  method("/etcdserverpb.KV/Range", &EtcdService::range);
  method("/etcdserverpb.KV/Put", &EtcdService::put);
  method("/etcdserverpb.KV/DeleteRange", &EtcdService::delete_range);
  method("/etcdserverpb.KV/Txn", &EtcdService::txn);
  method("/etcdserverpb.KV/Compact", &EtcdService::compact);
  stream("/etcdserverpb.KV/RangeStream", &EtcdService::range_stream, Needs::kNothing);
}

bool EtcdService::too_large(std::string_view message, Responder& responder) const {
  if (measured_bytes(message) <= options_.max_request_bytes) return false;
  responder->fail(to_status(errors::request_too_large()));
  return true;
}

namespace {

// Answers with the encoded result, or its error.
template <class T>
Callback<T> reply_with(Ids ids, std::unique_ptr<net::grpc::UnaryResponder> responder) {
  return [ids, responder = std::move(responder)](Result<T> result) {
    if (!result) return responder->fail(to_status(result.error()));
    responder->reply(encode(ids, *result));
  };
}

Callback<Revision> reply_with_header(Ids ids, std::unique_ptr<net::grpc::UnaryResponder> responder) {
  return [ids, responder = std::move(responder)](Result<Revision> revision) {
    if (!revision) return responder->fail(to_status(revision.error()));
    responder->reply(encode_header_only(ids, *revision));
  };
}

}  // namespace

void EtcdService::put(const Caller& caller, std::string_view message, Responder responder) {
  auto request = decode_put(message);
  if (!request) return responder->fail(to_status(request.error()));
  if (auto checked = mvcc::check(*request); !checked) return responder->fail(to_status(checked.error()));
  if (auto refused = caller.refuse(*request)) return responder->fail(to_status(*refused));
  if (too_large(message, responder)) return;
  store_.submit(std::move(*request), reply_with<PutResponse>(ids_, std::move(responder)));
}

void EtcdService::delete_range(const Caller& caller, std::string_view message, Responder responder) {
  auto request = decode_delete(message);
  if (!request) return responder->fail(to_status(request.error()));
  if (auto checked = mvcc::check(*request); !checked) return responder->fail(to_status(checked.error()));
  if (auto refused = caller.refuse(*request)) return responder->fail(to_status(*refused));
  if (too_large(message, responder)) return;
  store_.submit(std::move(*request), reply_with<DeleteRangeResponse>(ids_, std::move(responder)));
}

void EtcdService::txn(const Caller& caller, std::string_view message, Responder responder) {
  auto request = decode_txn(message);
  if (!request) return responder->fail(to_status(request.error()));
  if (auto checked = mvcc::check(*request, options_.max_txn_ops); !checked)
    return responder->fail(to_status(checked.error()));
  if (auto refused = caller.refuse(*request)) return responder->fail(to_status(*refused));
  if (mvcc::may_write(*request) && too_large(message, responder)) return;
  store_.submit(std::move(*request), reply_with<TxnResponse>(ids_, std::move(responder)));
}

void EtcdService::compact(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  store_.submit_compact(fields->number(1), fields->number(2) != 0, reply_with_header(ids_, std::move(responder)));
}

awaitable<net::grpc::Status> EtcdService::watch(net::grpc::ServerStream& stream) {
  WatchStream watch_stream(*this, stream);
  co_return co_await watch_stream.run();
}

std::string_view EtcdService::encoded_header(Revision revision) {
  if (revision != header_revision_) {
    Writer out;
    write_header(out, ids_, revision);
    header_ = out.take();
    header_revision_ = revision;
  }
  return header_;
}

awaitable<void> EtcdService::notify_progress() {
  while (true) {
    // Up to a tenth more, so that the streams of many servers do not tick together.
    Duration jitter(loop_.random().below(uint64_t(options_.progress_notify_interval.count() / 10 + 1)));
    co_await loop_.sleep(options_.progress_notify_interval + jitter);
    for (WatchStream* stream : streams_) stream->notify_progress();
  }
}

}  // namespace rs::store::etcd
