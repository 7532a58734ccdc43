// Range and RangeStream of EtcdService (reference etcd-api.md A.5).
#include "async/event.h"
#include "store/etcd/range_answer.h"
#include "store/etcd/service.h"
#include "store/mvcc/validate.h"

namespace rs::store::etcd {

using net::grpc::StatusCode;

namespace {

constexpr size_t kUnsentBytes = 1 << 20;  // of an answer in pieces; beyond it the client's reading sets the pace

void write_tail(Writer& out, bool more, int64_t count) {
  out.boolean(3, more);
  out.number(4, uint64_t(count));
}

awaitable<void> wait_for_room(async::Loop& loop, net::grpc::UnaryResponder& responder) {
  auto drained = std::make_shared<async::Event>(loop);
  responder.on_drained([drained] { drained->notify(); });
  while (!responder.cancelled() && responder.unsent_bytes() >= kUnsentBytes) co_await drained->wait();
  responder.on_drained({});
}

}  // namespace

void EtcdService::range(const Caller& caller, std::string_view message, Responder responder) {
  auto request = decode_range(message);
  if (!request) return responder->fail(to_status(request.error()));
  if (auto checked = mvcc::check(*request); !checked) return responder->fail(to_status(checked.error()));
  if (auto refused = caller.refuse(*request)) return responder->fail(to_status(*refused));
  if (RangeAnswer::suits(*request, store_)) {
    ++counts_.large_ranges;
    tasks_.spawn("range", large_range(std::move(*request), std::move(responder)));
    return;
  }
  auto result = store_.try_range(*request);
  if (!result) return responder->fail(to_status(result.error()));
  responder->reply(encode(ids_, *result));
}

awaitable<void> EtcdService::large_range(RangeRequest request, Responder responder) {
  auto begun = RangeAnswer::begin(loop_, store_, std::move(request));
  if (!begun) {
    responder->fail(to_status(begun.error()));
    co_return;
  }
  RangeAnswer& answer = **begun;
  Writer head, tail;
  write_header(head, ids_, answer.revision());
  write_tail(tail, answer.more(), answer.count());
  size_t bytes = co_await answer.measure();
  responder->begin(head.size() + bytes + tail.size());
  responder->piece(head.take());
  while (!responder->cancelled()) {
    auto part = co_await answer.next();
    // Too late for a status: the call is reset.
    if (!part) co_return;
    if (part->empty()) break;
    responder->piece(std::move(*part));
    co_await wait_for_room(loop_, *responder);
  }
  // When the client took all but the count, and is not gone.
  if (!responder->cancelled()) responder->piece(tail.take());
}

// etcd 3.7: the answer of Range in messages whose concatenation is that answer.
awaitable<net::grpc::Status> EtcdService::range_stream(net::grpc::ServerStream& stream) {
  auto message = co_await stream.read();
  if (!message) co_return to_status(message.error());
  if (!message->has_value()) co_return net::grpc::Status{StatusCode::kInternal, "no request"};
  auto request = decode_range(**message);
  if (!request) co_return to_status(request.error());
  if (auto checked = mvcc::check(*request); !checked) co_return to_status(checked.error());
  if (auto refused = Caller(guard_, stream.info()).refuse(*request)) co_return to_status(*refused);
  if (request->target != RangeRequest::Target::kKey || request->order == RangeRequest::Order::kDescend)
    co_return net::grpc::Status{StatusCode::kUnimplemented, "RangeStream does not support custom sort orders"};
  if (request->min_mod_revision != 0 || request->max_mod_revision != 0 || request->min_create_revision != 0 ||
      request->max_create_revision != 0)
    co_return net::grpc::Status{StatusCode::kUnimplemented, "RangeStream does not support revision filters"};
  const bool count_only = request->count_only;
  ++counts_.large_ranges;
  auto begun = RangeAnswer::begin(loop_, store_, std::move(*request));
  if (!begun) co_return to_status(begun.error());
  RangeAnswer& answer = **begun;
  Result<std::string> part;
  if (!count_only) part = co_await answer.next();
  while (true) {
    if (!part) co_return to_status(part.error());
    Result<std::string> following;
    if (!part->empty()) following = co_await answer.next();
    if (!following) co_return to_status(following.error());
    const bool last = following->empty();
    Writer out;
    out.message(1, [&](Writer& w) {
      if (last) write_header(w, ids_, answer.revision());
      w.append(*part);
      if (last) write_tail(w, answer.more(), answer.count());
    });
    auto written = co_await stream.write(std::make_shared<const std::string>(out.take()));
    if (!written) co_return to_status(written.error());
    if (last) co_return net::grpc::Status{};
    part = std::move(following);
  }
}

}  // namespace rs::store::etcd
