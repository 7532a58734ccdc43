#include "net/server_core.h"
namespace rs::net {
std::shared_ptr<ServerConnection> make_http2_connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Stream> stream,
                                                        std::string bytes) {
  return make_http1_connection(std::move(core), std::move(stream), std::move(bytes));
}
}  // namespace rs::net
#include "net/client_core.h"
namespace rs::net {
class Http2Pool {};
std::shared_ptr<Http2Pool> make_http2_pool(std::shared_ptr<const ClientTarget>) { return {}; }
awaitable<Result<std::unique_ptr<ResponseStream>>> http2_open(std::shared_ptr<Http2Pool>,
                                                              std::shared_ptr<Http1Pool> fallback, Request request) { co_return co_await fallback->open(std::move(request)); }
}
