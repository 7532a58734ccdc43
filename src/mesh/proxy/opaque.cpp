// Connections whose bytes are not looked at: one endpoint a connection.
#include "mesh/proxy/dial.h"
#include "mesh/proxy/relay.h"

namespace rs::mesh {

async::awaitable<void> serve_opaque(Worker& worker, std::shared_ptr<net::Stream> stream, Buffer in, BackendPtr backend) {
  backend->count_request();
  backend->budget().deposit(worker.loop().now());
  auto begun = worker.loop().now();
  std::vector<Balancer::NodePtr> tried;
  auto dialled = co_await dial(worker, backend, {}, false, tried);
  if (dialled.upstream == nullptr) {
    worker.count_refusal(dialled.refusal.reason);
    backend->count_response(503, false, worker.loop().now() - begun);
    co_return;  // closed: an opaque protocol has no place for a reason
  }
  backend->count_response(0, true, worker.loop().now() - begun);
  std::shared_ptr<net::Stream> target = std::move(dialled.upstream->stream);
  auto counts = co_await tunnel(worker, stream, std::move(in), target, std::move(dialled.upstream->in));
  backend->count_bytes(counts.b_to_a, counts.a_to_b);
}

}  // namespace rs::mesh
