#include "net/client_core.h"
#include "net/openssl.h"

namespace rs::net {

awaitable<Result<std::unique_ptr<Stream>>> connect_to(const ClientTarget& target, bool only_http1) {
  auto stream = co_await target.network.connect(target.address, target.options.connect_timeout);
  if (!stream || !target.options.tls) co_return stream;
  co_return co_await tls_connect_as(target.loop, std::move(*stream), target.options.tls, target.address.host,
                                    target.options.connect_timeout, only_http1);
}

std::string default_authority(const ClientTarget& target) {
  const uint16_t usual = target.options.tls ? 443 : 80;
  if (target.address.port != usual) return to_string(target.address);
  return target.address.host.find(':') == std::string::npos ? target.address.host : "[" + target.address.host + "]";
}

namespace {
awaitable<Result<std::unique_ptr<ResponseStream>>> open_either(std::shared_ptr<Http1Pool> http1,
                                                               std::shared_ptr<Http2Pool> http2, Request request) {
  if (http2) co_return co_await http2_open(std::move(http2), std::move(http1), std::move(request));
  co_return co_await http1->open(std::move(request));
}

awaitable<Result<Response>> call_whole(std::shared_ptr<Http1Pool> http1, std::shared_ptr<Http2Pool> http2,
                                       Request request, size_t limit) {
  auto stream = co_await open_either(std::move(http1), std::move(http2), std::move(request));
  if (!stream) co_return fail(stream.error());
  Response out;
  for (;;) {
    auto bytes = co_await (*stream)->read();
    if (!bytes) co_return fail(bytes.error());
    if (bytes->empty()) break;
    if (out.body.size() + bytes->size() > limit)
      co_return fail(Code::kRequestEntityTooLarge, "the response is larger than {} bytes", limit);
    if (out.body.empty()) out.body = std::move(*bytes);
    else out.body += *bytes;
  }
  out.status = (*stream)->status();
  out.headers = (*stream)->headers();
  out.trailers = (*stream)->trailers();
  co_return out;
}
}  // namespace

struct HttpClient::Impl {
  std::shared_ptr<const ClientTarget> target;
  std::shared_ptr<Http1Pool> http1;
  std::shared_ptr<Http2Pool> http2;  // null: HTTP/1.1 only

  std::string describe(const Request& request) const {
    return fmt::format("{} {}{}", request.method, to_string(target->address), parse_target(request.target).path);
  }
};

HttpClient::HttpClient(async::Loop& loop, Network& network, Address address, HttpClientOptions options)
    : impl_(new Impl) {
  impl_->target = std::make_shared<const ClientTarget>(ClientTarget{loop, network, std::move(address), std::move(options)});
  impl_->http1 = std::make_shared<Http1Pool>(impl_->target);
  if (impl_->target->options.http2) impl_->http2 = make_http2_pool(impl_->target);
}
HttpClient::~HttpClient() = default;

awaitable<Result<Response>> HttpClient::call(Request request, Duration timeout) {
  const std::string what = impl_->describe(request);
  co_return co_await async::with_timeout(
      impl_->target->loop, timeout, what,
      call_whole(impl_->http1, impl_->http2, std::move(request), impl_->target->options.body_bytes));
}

awaitable<Result<std::unique_ptr<ResponseStream>>> HttpClient::stream(Request request, Duration timeout) {
  const std::string what = impl_->describe(request);
  co_return co_await async::with_timeout(impl_->target->loop, timeout, what,
                                         open_either(impl_->http1, impl_->http2, std::move(request)));
}

awaitable<Result<std::pair<Response, std::unique_ptr<Stream>>>> HttpClient::upgrade(Request request, Duration timeout) {
  const std::string what = impl_->describe(request);
  co_return co_await async::with_timeout(impl_->target->loop, timeout, what, impl_->http1->upgrade(std::move(request)));
}

}  // namespace rs::net
