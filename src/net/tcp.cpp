// TCP over asio: the machine's network.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "net/stream.h"

namespace rs::net {
namespace {

using asio::ip::tcp;
using Local = asio::local::stream_protocol;
using ErrorCode = boost::system::error_code;

Address to_address(const tcp::endpoint& endpoint) {
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return {asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string(), endpoint.port()};
  return {address.to_string(), endpoint.port()};
}

// An aborted operation is a cancellation of the caller (rethrown) or a close() of the stream (an error like others).
awaitable<void> throw_if_cancelled(const ErrorCode& error) {
  if (error != asio::error::operation_aborted) co_return;
  auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) throw boost::system::system_error(error);
}

std::unexpected<Error> broken(std::string_view what, const ErrorCode& error) {
  return fail(Code::kUnavailable, "{}: {}", what,
              error == asio::error::operation_aborted ? std::string("connection closed") : error.message());
}

void set_options(tcp::socket& socket) {
  ErrorCode ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  // A peer that vanished is noticed within a minute even by who only listens (Go's defaults: 15 s).
  const int idle_s = 15, interval_s = 15, count = 3, unacknowledged_ms = 60'000;
  const int fd = socket.native_handle();
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
}

constexpr size_t kIovecs = 64;  // buffers of one sendmsg

// Writes what the kernel takes at once; the number of bytes taken, or -1 with errno.
ssize_t send_now(int fd, std::span<const asio::const_buffer> buffers) {
  iovec vectors[kIovecs];
  const size_t count = std::min(buffers.size(), kIovecs);
  for (size_t i = 0; i < count; ++i) vectors[i] = {const_cast<void*>(buffers[i].data()), buffers[i].size()};
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = count;
  for (;;) {
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0 || errno != EINTR) return sent;
  }
}

template <class Socket>
class SocketStream final : public Stream {
 public:
  SocketStream(Socket socket, Address local, Address peer)
      : socket_(std::move(socket)), local_(std::move(local)), peer_(std::move(peer)) {
    ErrorCode ignored;
    socket_.non_blocking(true, ignored);
  }

  awaitable<Result<size_t>> read(asio::mutable_buffer buffer) override {
    ErrorCode error;
    const size_t count = co_await socket_.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, error));
    if (!error) co_return count;
    if (error == asio::error::eof) co_return size_t{0};
    co_await throw_if_cancelled(error);
    co_return broken("read", error);
  }

  awaitable<Result<void>> write(std::span<const asio::const_buffer> buffers) override {
    // Most writes fit in the socket's buffer: then no reactor, no timer, no turn of the loop.
    std::vector<asio::const_buffer> rest;
    size_t index = 0;
    while (index < buffers.size()) {
      const auto batch = buffers.subspan(index, std::min(kIovecs, buffers.size() - index));
      const ssize_t sent = send_now(socket_.native_handle(), batch);
      if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        co_return broken("write", ErrorCode(errno, boost::system::system_category()));
      size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
      while (index < buffers.size() && taken >= buffers[index].size()) taken -= buffers[index++].size();
      if (taken > 0 || (index < buffers.size() && sent <= 0)) {
        rest.assign(buffers.begin() + static_cast<ptrdiff_t>(index), buffers.end());
        rest.front() += taken;
        break;
      }
    }
    if (rest.empty()) co_return Result<void>{};
    ErrorCode error;
    co_await asio::async_write(socket_, rest, asio::redirect_error(asio::use_awaitable, error));
    if (!error) co_return Result<void>{};
    co_await throw_if_cancelled(error);
    co_return broken("write", error);
  }

  awaitable<Result<void>> shutdown_write() override {
    ErrorCode error;
    socket_.shutdown(Socket::shutdown_send, error);
    if (error) co_return broken("shutdown", error);
    co_return Result<void>{};
  }

  void close() override {
    ErrorCode ignored;
    socket_.close(ignored);
  }
  Address local() const override { return local_; }
  Address peer() const override { return peer_; }
  int native_handle() const override { return const_cast<Socket&>(socket_).native_handle(); }

 private:
  Socket socket_;
  const Address local_, peer_;
};

std::unique_ptr<Stream> tcp_stream(tcp::socket socket) {
  ErrorCode ignored;
  Address own = to_address(socket.local_endpoint(ignored)), other = to_address(socket.remote_endpoint(ignored));
  return std::make_unique<SocketStream<tcp::socket>>(std::move(socket), std::move(own), std::move(other));
}

// What accept() of any kind of socket ends with when it fails; nothing: try again.
std::optional<Error> accept_failure(const ErrorCode& error, const std::string& where) {
  if (error == asio::error::connection_aborted) return std::nullopt;
  if (error == asio::error::no_descriptors || error == asio::error::no_memory || error == asio::error::no_buffer_space ||
      error.value() == ENFILE)
    return Error{Code::kResourceExhausted, fmt::format("accept on {}: {}", where, error.message())};
  return broken("accept", error).error();
}

class TcpListener final : public Listener {
 public:
  TcpListener(async::Loop& loop, tcp::acceptor acceptor) : loop_(loop), acceptor_(std::move(acceptor)) {
    ErrorCode ignored;
    local_ = to_address(acceptor_.local_endpoint(ignored));
  }

  awaitable<Result<std::unique_ptr<Stream>>> accept() override {
    for (;;) {
      tcp::socket socket(loop_.context());
      ErrorCode error;
      co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
      if (!error) {
        set_options(socket);
        co_return tcp_stream(std::move(socket));
      }
      co_await throw_if_cancelled(error);
      if (auto failure = accept_failure(error, to_string(local_))) co_return fail(std::move(*failure));
    }
  }

  Address local() const override { return local_; }
  void close() override {
    ErrorCode ignored;
    acceptor_.close(ignored);
  }

 private:
  async::Loop& loop_;
  tcp::acceptor acceptor_;
  Address local_;
};

// Its file goes with it.
class LocalListener final : public Listener {
 public:
  LocalListener(async::Loop& loop, Local::acceptor acceptor, std::string path)
      : loop_(loop), acceptor_(std::move(acceptor)), path_(std::move(path)) {}
  ~LocalListener() override { close(); }

  awaitable<Result<std::unique_ptr<Stream>>> accept() override {
    for (;;) {
      Local::socket socket(loop_.context());
      ErrorCode error;
      co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
      if (!error)
        co_return std::make_unique<SocketStream<Local::socket>>(std::move(socket), Address{path_, 0}, Address{"@", 0});
      co_await throw_if_cancelled(error);
      if (auto failure = accept_failure(error, path_)) co_return fail(std::move(*failure));
    }
  }

  Address local() const override { return {path_, 0}; }
  void close() override {
    if (!acceptor_.is_open()) return;
    ErrorCode ignored;
    acceptor_.close(ignored);
    ::unlink(path_.c_str());
  }

 private:
  async::Loop& loop_;
  Local::acceptor acceptor_;
  const std::string path_;
};

// Takes away the file of a listener that is no more.
Result<void> remove_left_over(async::Loop& loop, const std::string& path) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return {};
  if (!S_ISSOCK(found.st_mode)) return fail(Code::kAlreadyExists, "listen on {}: there is a file that is no socket", path);
  Local::socket probe(loop.context());
  ErrorCode error;
  probe.connect(Local::endpoint(path), error);
  if (!error) return fail(Code::kAlreadyExists, "listen on {}: another process is listening there", path);
  ::unlink(path.c_str());
  return {};
}

using Endpoints = std::vector<tcp::endpoint>;

awaitable<Result<Endpoints>> resolve(async::Loop& loop, const Address& address) {
  ErrorCode error;
  const auto literal = asio::ip::make_address(address.host, error);
  if (!error) co_return Endpoints{tcp::endpoint(literal, address.port)};
  tcp::resolver resolver(loop.context());
  auto found = co_await resolver.async_resolve(address.host, std::to_string(address.port),
                                               asio::redirect_error(asio::use_awaitable, error));
  if (error) {
    co_await throw_if_cancelled(error);
    co_return fail(Code::kUnavailable, "lookup {}: {}", address.host, error.message());
  }
  Endpoints endpoints;
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  co_return endpoints;
}

awaitable<Result<std::unique_ptr<Stream>>> connect_local(async::Loop& loop, std::string path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) co_return fail(Code::kBadRequest, "connect to {}: the path is too long", path);
  Local::socket socket(loop.context());
  ErrorCode error;
  co_await socket.async_connect(Local::endpoint(path), asio::redirect_error(asio::use_awaitable, error));
  co_await throw_if_cancelled(error);
  if (error) co_return fail(Code::kUnavailable, "connect to {}: {}", path, error.message());
  co_return std::make_unique<SocketStream<Local::socket>>(std::move(socket), Address{"@", 0}, Address{path, 0});
}

awaitable<Result<std::unique_ptr<Stream>>> connect_any(async::Loop& loop, Address address) {
  if (address.host.starts_with('/')) co_return co_await connect_local(loop, address.host);
  auto endpoints = co_await resolve(loop, address);
  if (!endpoints) co_return fail(endpoints.error());
  ErrorCode error = asio::error::host_not_found;
  for (const auto& endpoint : *endpoints) {
    tcp::socket socket(loop.context());
    co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      set_options(socket);
      co_return tcp_stream(std::move(socket));
    }
    co_await throw_if_cancelled(error);
  }
  co_return fail(Code::kUnavailable, "connect to {}: {}", to_string(address), error.message());
}

}  // namespace

TcpNetwork::TcpNetwork(async::Loop& loop) : loop_(loop) {}

Result<std::unique_ptr<Listener>> TcpNetwork::listen(const Address& address) { return listen_with(address, false); }
Result<std::unique_ptr<Listener>> TcpNetwork::listen_shared(const Address& address) { return listen_with(address, true); }

Result<std::unique_ptr<Listener>> TcpNetwork::listen_with(const Address& address, bool shared) {
  ErrorCode error;
  const auto host = asio::ip::make_address(address.host == "localhost" ? "127.0.0.1" : address.host, error);
  if (error) return fail(Code::kBadRequest, "listen on {}: the host must be an IP address", to_string(address));
  const tcp::endpoint endpoint(host, address.port);
  tcp::acceptor acceptor(loop_.context());
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
  if (!error && shared) acceptor.set_option(ReusePort(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(4096, error);
  if (error == asio::error::address_in_use)
    return fail(Code::kAlreadyExists, "listen on {}: port {} is already in use", to_string(address), address.port);
  if (error == asio::error::access_denied)
    return fail(Code::kForbidden, "listen on {}: {}", to_string(address), error.message());
  if (error) return fail(Code::kUnavailable, "listen on {}: {}", to_string(address), error.message());
  return std::make_unique<TcpListener>(loop_, std::move(acceptor));
}

Result<std::unique_ptr<Listener>> TcpNetwork::listen_local(const std::string& path) {
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Code::kBadRequest, "listen on {}: a socket's path has 1 to {} bytes", path, sizeof(sockaddr_un::sun_path) - 1);
  if (auto removed = remove_left_over(loop_, path); !removed) return fail(removed.error());
  Local::acceptor acceptor(loop_.context());
  ErrorCode error;
  acceptor.open(Local(), error);
  if (!error) acceptor.bind(Local::endpoint(path), error);
  if (!error) acceptor.listen(4096, error);
  if (error) return fail(Code::kUnavailable, "listen on {}: {}", path, error.message());
  return std::make_unique<LocalListener>(loop_, std::move(acceptor), path);
}

awaitable<Result<std::unique_ptr<Stream>>> TcpNetwork::connect(const Address& address, Duration timeout) {
  co_return co_await async::with_timeout(loop_, timeout, "connect to " + to_string(address),
                                         connect_any(loop_, address));
}

}  // namespace rs::net
