#include "net/grpc_message.h"

#include <charconv>

namespace rs::net::grpc {

void write_prefix(std::string& out, size_t message_bytes) {
  const auto size = static_cast<uint32_t>(message_bytes);
  const char prefix[kPrefixBytes] = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                                     static_cast<char>(size >> 8), static_cast<char>(size)};
  out.append(prefix, kPrefixBytes);
}

std::optional<std::string> MessageReader::next(Status& error) {
  const size_t available = buffer_.size() - offset_;
  if (available < kPrefixBytes) return std::nullopt;
  const auto* bytes = reinterpret_cast<const unsigned char*>(buffer_.data()) + offset_;
  if (bytes[0] != 0) {
    error = bytes[0] == 1 ? Status{StatusCode::kInternal, "grpc: compressed flag set with identity or empty encoding"}
                          : Status{StatusCode::kInternal, fmt::format("grpc: received unexpected payload format {}", bytes[0])};
    return std::nullopt;
  }
  const size_t size = static_cast<size_t>(bytes[1]) << 24 | static_cast<size_t>(bytes[2]) << 16 |
                      static_cast<size_t>(bytes[3]) << 8 | static_cast<size_t>(bytes[4]);
  if (size > limit_) {
    error = {StatusCode::kResourceExhausted, fmt::format("grpc: received message larger than max ({} vs. {})", size, limit_)};
    return std::nullopt;
  }
  if (available < kPrefixBytes + size) return std::nullopt;
  std::string out = buffer_.substr(offset_ + kPrefixBytes, size);
  offset_ += kPrefixBytes + size;
  if (offset_ == buffer_.size()) {
    if (buffer_.capacity() > (64 << 10)) buffer_ = {};
    buffer_.clear();
    offset_ = 0;
  } else if (offset_ > (64 << 10)) {
    buffer_.erase(0, offset_);
    offset_ = 0;
  }
  return out;
}

std::string encode_message(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::string decode_message(std::string_view text) {
  auto decoded = percent_decode(text);
  return decoded ? std::move(*decoded) : std::string(text);  // the specification: never fail on a bad one
}

std::string write_timeout(Duration timeout) {
  // At most 8 digits.
  const auto ms = std::max<int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count());
  return ms < 100'000'000 ? fmt::format("{}m", ms) : fmt::format("{}S", std::min<int64_t>(ms / 1000, 99'999'999));
}

std::optional<Duration> parse_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 1, value);
  if (error != std::errc() || end != text.data() + text.size() - 1 || value < 0) return std::nullopt;
  switch (text.back()) {
    case 'H': return std::chrono::hours(std::min<int64_t>(value, 1'000'000));
    case 'M': return std::chrono::minutes(std::min<int64_t>(value, 60'000'000));
    case 'S': return std::chrono::seconds(value);
    case 'm': return std::chrono::milliseconds(value);
    case 'u': return std::chrono::microseconds(value);
    case 'n': return std::chrono::nanoseconds(value);
    default: return std::nullopt;
  }
}

// grpc doc/http-grpc-status-mapping.md
Status status_of_http(int http_status) {
  StatusCode code = StatusCode::kUnknown;
  switch (http_status) {
    case 400: code = StatusCode::kInternal; break;
    case 401: code = StatusCode::kUnauthenticated; break;
    case 403: code = StatusCode::kPermissionDenied; break;
    case 404: code = StatusCode::kUnimplemented; break;
    case 429: case 502: case 503: case 504: code = StatusCode::kUnavailable; break;
    default: break;
  }
  return {code, fmt::format("unexpected HTTP status code received from server: {}", http_status)};
}

namespace {
struct Pair {
  StatusCode status;
  Code code;
};
// The first pair of a code or status decides.
constexpr Pair kPairs[] = {
    {StatusCode::kCancelled, Code::kCancelled},
    {StatusCode::kUnknown, Code::kInternalError},
    {StatusCode::kInvalidArgument, Code::kBadRequest},
    {StatusCode::kInvalidArgument, Code::kInvalid},
    {StatusCode::kDeadlineExceeded, Code::kTimeout},
    {StatusCode::kNotFound, Code::kNotFound},
    {StatusCode::kAlreadyExists, Code::kAlreadyExists},
    {StatusCode::kPermissionDenied, Code::kForbidden},
    {StatusCode::kResourceExhausted, Code::kResourceExhausted},
    {StatusCode::kResourceExhausted, Code::kTooManyRequests},
    {StatusCode::kResourceExhausted, Code::kRequestEntityTooLarge},
    {StatusCode::kFailedPrecondition, Code::kFailedPrecondition},
    {StatusCode::kAborted, Code::kConflict},
    {StatusCode::kOutOfRange, Code::kOutOfRange},
    {StatusCode::kUnimplemented, Code::kUnimplemented},
    {StatusCode::kUnavailable, Code::kUnavailable},
    {StatusCode::kUnavailable, Code::kServiceUnavailable},
    {StatusCode::kDataLoss, Code::kDataLoss},
    {StatusCode::kUnauthenticated, Code::kUnauthorized},
};
}  // namespace

Code code_of(StatusCode code) {
  for (const auto& pair : kPairs) {
    if (pair.status == code) return pair.code;
  }
  return Code::kInternalError;
}

StatusCode status_code_of(Code code) {
  if (code == Code::kInternalError) return StatusCode::kInternal;
  for (const auto& pair : kPairs) {
    if (pair.code == code) return pair.status;
  }
  return StatusCode::kUnknown;
}

}  // namespace rs::net::grpc
