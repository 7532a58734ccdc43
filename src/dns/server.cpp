#include "dns/server.h"

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"

namespace rs::dns {

namespace asio = boost::asio;
using asio::ip::udp;
using async::awaitable;

struct DnsServer::Impl {
  Impl(async::Loop& l, client::Informers& informers, DnsOptions o, metrics::Registry& r)
      : loop(l),
        network(l),
        services(informers.of(client::resources::kServices)),
        slices(informers.of(client::resources::kEndpointSlices)),
        pods(informers.of(client::resources::kPods)),
        options(std::move(o)),
        registry(r),
        zone(options.zone),
        tasks(l) {}

  void watch(client::Informer& informer, void (Zone::*apply)(const api::ObjectKey&, const Json*), std::weak_ptr<Impl> self) {
    for (const auto& [key, object] : informer.objects()) (zone.*apply)(key, object.get());
    informer.on_change([self, apply](const api::ObjectKey& key, const client::ObjectPtr&, const client::ObjectPtr& now) {
      if (auto impl = self.lock()) (impl->zone.*apply)(key, now.get());
    });
  }

  Result<void> listen(const net::Address& wanted);
  awaitable<std::string> answer(std::string bytes, bool over_tcp);
  awaitable<Result<std::string>> forward(std::string bytes, bool over_tcp);
  awaitable<Result<std::string>> ask(net::Address upstream, std::string bytes, bool over_tcp);
  static awaitable<void> serve_udp(std::shared_ptr<Impl> self, std::shared_ptr<udp::socket> socket);
  static awaitable<void> answer_udp(std::shared_ptr<Impl> self, std::shared_ptr<udp::socket> socket, std::string bytes, udp::endpoint peer);
  static awaitable<void> serve_tcp(std::shared_ptr<Impl> self, std::unique_ptr<net::Listener> listener);
  static awaitable<void> serve_connection(std::shared_ptr<Impl> self, std::unique_ptr<net::Stream> stream);

  async::Loop& loop;
  net::TcpNetwork network;
  client::Informer &services, &slices, &pods;
  DnsOptions options;
  metrics::Registry& registry;
  Zone zone;
  std::vector<net::Address> bound;
  size_t connections = 0, forwarding = 0;
  async::TaskGroup tasks;
};

namespace {

constexpr size_t kForwardingMax = 500;

awaitable<Result<void>> read_exactly(net::Stream& stream, char* data, size_t size) {
  while (size > 0) {
    auto read = co_await stream.read(asio::buffer(data, size));
    if (!read) co_return fail(read.error());
    if (*read == 0) co_return fail(Code::kUnavailable, "closed");
    data += *read;
    size -= *read;
  }
  co_return Result<void>();
}

// One message with its length before it (RFC 1035 4.2.2).
awaitable<Result<std::string>> read_message(net::Stream& stream) {
  unsigned char length[2];
  if (auto read = co_await read_exactly(stream, reinterpret_cast<char*>(length), 2); !read) co_return fail(read.error());
  std::string bytes(static_cast<size_t>(length[0]) << 8 | length[1], '\0');
  if (auto read = co_await read_exactly(stream, bytes.data(), bytes.size()); !read) co_return fail(read.error());
  co_return bytes;
}

std::string framed(const std::string& bytes) {
  std::string out;
  out += static_cast<char>(bytes.size() >> 8);
  out += static_cast<char>(bytes.size());
  return out + bytes;
}

awaitable<Result<std::string>> receive_from(udp::socket& socket, uint16_t id) {
  for (;;) {
    std::string bytes(4096, '\0');
    udp::endpoint peer;
    boost::system::error_code error;
    size_t size = co_await socket.async_receive_from(asio::buffer(bytes), peer, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
    if (error) co_return fail(Code::kUnavailable, "{}", error.message());
    bytes.resize(size);
    // The socket is connected: only the upstream's own answers come here, and only the one to this question counts.
    if (size >= 2 && static_cast<uint8_t>(bytes[0]) == id >> 8 && static_cast<uint8_t>(bytes[1]) == (id & 0xff)) co_return bytes;
  }
}

}  // namespace

awaitable<Result<std::string>> DnsServer::Impl::ask(net::Address upstream, std::string bytes, bool over_tcp) {
  auto id = static_cast<uint16_t>(loop.random().next());
  char original[2] = {bytes[0], bytes[1]};
  bytes[0] = static_cast<char>(id >> 8);
  bytes[1] = static_cast<char>(id);
  Result<std::string> out = fail(Code::kUnavailable, "no answer");
  if (over_tcp) {
    auto stream = co_await network.connect(upstream, options.upstream_timeout);
    if (!stream) co_return fail(stream.error());
    auto request = framed(bytes);
    if (auto written = co_await (*stream)->write(request); !written) co_return fail(written.error());
    out = co_await async::with_timeout(loop, options.upstream_timeout, "upstream", read_message(**stream));
  } else {
    boost::system::error_code error;
    auto address = asio::ip::make_address(upstream.host, error);
    if (error) co_return fail(Code::kBadRequest, "upstream {} is not an IP address", upstream.host);
    udp::socket socket(loop.context());
    socket.open(address.is_v6() ? udp::v6() : udp::v4(), error);
    if (!error) socket.connect({address, upstream.port}, error);
    if (!error) socket.send(asio::buffer(bytes), 0, error);
    if (error) co_return fail(Code::kUnavailable, "upstream {}: {}", upstream.host, error.message());
    out = co_await async::with_timeout(loop, options.upstream_timeout, "upstream", receive_from(socket, id));
  }
  if (!out || out->size() < 2) co_return out;
  (*out)[0] = original[0];
  (*out)[1] = original[1];
  co_return out;
}

awaitable<Result<std::string>> DnsServer::Impl::forward(std::string bytes, bool over_tcp) {
  if (forwarding >= kForwardingMax) co_return fail(Code::kResourceExhausted, "{} questions wait for upstreams", forwarding);
  struct Count {
    size_t& value;
    ~Count() { --value; }
  } count{++forwarding};
  Result<std::string> last = fail(Code::kUnavailable, "no upstream");
  for (const auto& upstream : options.upstreams) {
    last = co_await ask(upstream, bytes, over_tcp);
    if (last) break;
  }
  co_return last;
}

awaitable<std::string> DnsServer::Impl::answer(std::string bytes, bool over_tcp) {
  auto query = parse_query(bytes);
  auto count = [&](std::string_view type, Rcode rcode) {
    registry.counter("dns_requests_total", "Questions asked of the cluster's DNS.", {{"type", std::string(type)}}).add();
    registry.counter("dns_responses_total", "Answers of the cluster's DNS.", {{"rcode", std::string(to_string(rcode))}}).add();
  };
  if (!query) {
    count("other", Rcode::kFormatError);
    co_return encode_format_error(bytes);
  }
  size_t limit = over_tcp ? kTcpBytes : query->udp_bytes;
  Reply reply{.rcode = Rcode::kNotImplemented, .authoritative = false};
  if (query->opcode == 0) {
    if (services.freshness().synced && slices.freshness().synced && pods.freshness().synced)
      zone.set_synced(static_cast<uint32_t>(services.freshness().revision));
    auto own = zone.answer(*query);
    if (own) {
      reply = std::move(*own);
    } else if (!options.upstreams.empty()) {
      auto forwarded = co_await forward(bytes, over_tcp);
      if (forwarded) {
        count(to_string(query->type), Rcode::kNoError);
        co_return *forwarded;
      }
      reply.rcode = Rcode::kServerFailure;
    } else {
      // Nothing outside the cluster is known here. "Does not exist" ends the search at once; "refused" would make
      // resolvers ask again and again.
      reply.rcode = Rcode::kNameError;
    }
    reply.recursion_available = !options.upstreams.empty();
  }
  count(to_string(query->type), reply.rcode);
  co_return encode_reply(*query, reply, limit);
}

awaitable<void> DnsServer::Impl::answer_udp(std::shared_ptr<Impl> self, std::shared_ptr<udp::socket> socket, std::string bytes, udp::endpoint peer) {
  auto reply = co_await self->answer(std::move(bytes), false);
  boost::system::error_code error;
  if (!reply.empty()) socket->send_to(asio::buffer(reply), peer, 0, error);  // a full buffer drops it: UDP
}

awaitable<void> DnsServer::Impl::serve_udp(std::shared_ptr<Impl> self, std::shared_ptr<udp::socket> socket) {
  std::string buffer(4096, '\0');
  for (;;) {
    udp::endpoint peer;
    boost::system::error_code error;
    size_t size = co_await socket->async_receive_from(asio::buffer(buffer), peer, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
    if (error) continue;  // an ICMP error of an earlier answer
    if (self->options.upstreams.empty()) co_await answer_udp(self, socket, buffer.substr(0, size), peer);
    else self->tasks.spawn("dns query", answer_udp(self, socket, buffer.substr(0, size), peer));
  }
}

awaitable<void> DnsServer::Impl::serve_connection(std::shared_ptr<Impl> self, std::unique_ptr<net::Stream> stream) {
  struct Count {
    size_t& value;
    ~Count() { --value; }
  } count{++self->connections};
  for (;;) {
    auto bytes = co_await async::with_timeout(self->loop, self->options.idle_timeout, "query", read_message(*stream));
    if (!bytes) co_return;
    auto reply = framed(co_await self->answer(std::move(*bytes), true));
    if (reply.size() == 2 || !co_await stream->write(reply)) co_return;
  }
}

awaitable<void> DnsServer::Impl::serve_tcp(std::shared_ptr<Impl> self, std::unique_ptr<net::Listener> listener) {
  for (;;) {
    auto stream = co_await listener->accept();
    if (!stream) {
      if (stream.error().code != Code::kResourceExhausted) co_return;
      co_await self->loop.sleep(std::chrono::milliseconds(20));
      continue;
    }
    if (self->connections < self->options.connections) self->tasks.spawn("dns connection", serve_connection(self, std::move(*stream)));
  }
}

DnsServer::DnsServer(async::Loop& loop, client::Informers& informers, DnsOptions options, metrics::Registry& registry)
    : impl_(std::make_shared<Impl>(loop, informers, std::move(options), registry)) {
  impl_->watch(impl_->services, &Zone::apply_service, impl_);
  impl_->watch(impl_->slices, &Zone::apply_slice, impl_);
  impl_->watch(impl_->pods, &Zone::apply_pod, impl_);
}

DnsServer::~DnsServer() = default;

Result<void> DnsServer::Impl::listen(const net::Address& wanted) {
  boost::system::error_code error;
  auto address = asio::ip::make_address(wanted.host, error);
  if (error) return fail(Code::kBadRequest, "DNS address {} is not an IP address", wanted.host);
  // With port 0 the TCP port found free may be taken for UDP: try others.
  for (int attempt = 0; attempt < 20; ++attempt) {
    auto listener = network.listen(wanted);
    if (!listener) return fail(listener.error());
    auto local = (*listener)->local();
    auto socket = std::make_shared<udp::socket>(loop.context());
    socket->open(address.is_v6() ? udp::v6() : udp::v4(), error);
    if (!error) socket->bind({address, local.port}, error);
    if (error == asio::error::address_in_use && wanted.port == 0) continue;
    if (error) {
      auto code = error == asio::error::address_in_use ? Code::kAlreadyExists : Code::kUnavailable;
      return fail(code, "DNS on udp {}: {}", net::to_string(local), error.message());
    }
    socket->non_blocking(true, error);
    bound.push_back(local);
    // Not an owner: the tasks belong to this object, whose stop() awaits them.
    auto self = std::shared_ptr<Impl>(std::shared_ptr<Impl>(), this);
    tasks.spawn("dns udp", serve_udp(self, socket));
    tasks.spawn("dns tcp", serve_tcp(self, std::move(*listener)));
    return {};
  }
  return fail(Code::kAlreadyExists, "no port is free for both TCP and UDP on {}", wanted.host);
}

Result<void> DnsServer::start() {
  for (const auto& address : impl_->options.listen)
    if (auto listening = impl_->listen(address); !listening) return listening;
  return {};
}

awaitable<void> DnsServer::stop() { co_await impl_->tasks.stop(); }
std::vector<net::Address> DnsServer::addresses() const { return impl_->bound; }

}  // namespace rs::dns
