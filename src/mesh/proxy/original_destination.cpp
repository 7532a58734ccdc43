#include "mesh/proxy/original_destination.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace rs::mesh {
namespace {
constexpr int kOriginalDestination = 80;  // SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST of linux/netfilter headers
}

std::optional<net::Address> original_destination(const net::Stream& stream) {
  int fd = stream.native_handle();
  if (fd < 0) return std::nullopt;
  sockaddr_in v4{};
  socklen_t length = sizeof v4;
  char text[INET6_ADDRSTRLEN] = {};
  if (::getsockopt(fd, IPPROTO_IP, kOriginalDestination, &v4, &length) == 0) {
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return net::Address{text, ntohs(v4.sin_port)};
  }
  sockaddr_in6 v6{};
  length = sizeof v6;
  if (::getsockopt(fd, IPPROTO_IPV6, kOriginalDestination, &v6, &length) == 0) {
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return net::Address{text, ntohs(v6.sin6_port)};
  }
  return std::nullopt;
}

}  // namespace rs::mesh
