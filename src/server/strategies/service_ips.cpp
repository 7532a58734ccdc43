#include "server/strategies/service_ips.h"

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/network_v4.hpp>

namespace rs::server {
namespace {
namespace ip = boost::asio::ip;

struct Range {
  uint32_t first = 0, size = 0;
};

Result<Range> parse_range(std::string_view cidr) {
  boost::system::error_code error;
  auto network = ip::make_network_v4(std::string(cidr), error);
  if (error || network.prefix_length() < 8 || network.prefix_length() > 28)
    return fail(Code::kInternalError, "the service range {} is not an IPv4 network of /8 to /28", cidr);
  return Range{network.canonical().address().to_uint(), uint32_t(1) << (32 - network.prefix_length())};
}
std::string text(uint32_t address) { return ip::address_v4(address).to_string(); }
}  // namespace

Result<std::string> choose_service_ip(std::string_view cidr, Random& random) {
  auto range = parse_range(cidr);
  if (!range) return std::unexpected(range.error());
  uint32_t reserved = std::min(std::max(range->size / 16, 16u), 256u);
  if (reserved + 2 >= range->size) reserved = 1;
  return text(range->first + uint32_t(random.between(reserved + 1, range->size - 2)));
}

Result<void> check_service_ip(std::string_view cidr, std::string_view address) {
  auto range = parse_range(cidr);
  if (!range) return std::unexpected(range.error());
  boost::system::error_code error;
  auto parsed = ip::make_address_v4(std::string(address), error);
  if (error) return fail(Code::kInvalid, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  uint32_t offset = parsed.to_uint() - range->first;
  if (offset == 0 || offset >= range->size - 1)
    return fail(Code::kInvalid, "failed to allocate IP {}: the provided IP ({}) is not in the valid range. "
                "The range of valid IPs is {}", address, address, cidr);
  return {};
}

Result<std::string> first_service_ip(std::string_view cidr) {
  auto range = parse_range(cidr);
  if (!range) return std::unexpected(range.error());
  return text(range->first + 1);
}

}  // namespace rs::server
