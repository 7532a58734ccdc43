// Byte streams and where they come from: TCP, TLS, or a simulated network (sim/sim_network.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/buffer.hpp>

#include "async/loop.h"
#include "base/result.h"

namespace rs::net {

namespace asio = boost::asio;
template <class T>
using awaitable = asio::awaitable<T>;

// "127.0.0.1", 6443. The host is an IP literal (v6 without brackets) or, for connect, also a DNS name, or the absolute
// path of a socket in the file system.
struct Address {
  std::string host;
  uint16_t port = 0;
  friend auto operator<=>(const Address&, const Address&) = default;
};
std::string to_string(const Address& address);                  // "1.2.3.4:80", "[::1]:80"
Result<Address> parse_address(std::string_view text, uint16_t default_port = 0);

// Who the peer proved to be with its TLS client certificate (verified against the server's client CA).
struct PeerCertificate {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> uris;        // SAN URIs: SPIFFE identities
  std::vector<std::string> dns_names;   // SAN DNS names
};

// A connected byte stream; a resource with one owner, on one loop. One read and one write may be under way at a time.
// Destroying it closes it. Errors: kUnavailable (reset, broken pipe), kCancelled never (cancellation throws).
class Stream {
 public:
  virtual ~Stream() = default;
  // At least one byte, or 0 at the end of the stream.
  virtual awaitable<Result<size_t>> read(asio::mutable_buffer buffer) = 0;
  // All bytes of all buffers, in order.
  virtual awaitable<Result<void>> write(std::span<const asio::const_buffer> buffers) = 0;
  awaitable<Result<void>> write(std::string_view bytes);
  virtual awaitable<Result<void>> shutdown_write() = 0;  // TCP half-close, TLS close_notify
  virtual void close() = 0;                              // at once; pending operations end with an error
  virtual Address local() const = 0;
  virtual Address peer() const = 0;
  virtual std::string_view alpn() const { return {}; }   // "h2", "http/1.1" or empty
  virtual const PeerCertificate* peer_certificate() const { return nullptr; }
  virtual int native_handle() const { return -1; }       // the socket, for splice and SO_ORIGINAL_DST; -1: none
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual awaitable<Result<std::unique_ptr<Stream>>> accept() = 0;
  virtual Address local() const = 0;
  virtual void close() = 0;
};

class TlsServerContext;  // net/tls.h
class TlsClientContext;

// Makes connections. TcpNetwork is the machine's; sim/sim_network.h has one in memory. One per loop.
class Network {
 public:
  virtual ~Network() = default;
  // Port 0: any free one, see local(). A taken port fails with kAlreadyExists and says so.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& address) = 0;
  virtual awaitable<Result<std::unique_ptr<Stream>>> connect(const Address& address, Duration timeout) = 0;
};

class TcpNetwork final : public Network {
 public:
  explicit TcpNetwork(async::Loop& loop);
  Result<std::unique_ptr<Listener>> listen(const Address& address) override;
  // With SO_REUSEPORT: one listener a thread on the same port, the kernel spreads connections over them. Every listener
  // of the port must be made so; a port taken by another of the same user is not noticed.
  Result<std::unique_ptr<Listener>> listen_shared(const Address& address);
  // A socket in the file system (AF_UNIX), whose file lives as long as the listener. One that a dead process left is
  // replaced. local() has the path as the host, and port 0.
  Result<std::unique_ptr<Listener>> listen_local(const std::string& path);
  awaitable<Result<std::unique_ptr<Stream>>> connect(const Address& address, Duration timeout) override;

 private:
  Result<std::unique_ptr<Listener>> listen_with(const Address& address, bool shared);
  async::Loop& loop_;
};

}  // namespace rs::net
