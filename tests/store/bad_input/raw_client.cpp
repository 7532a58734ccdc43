#include "raw_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "net/http.h"

namespace rs::store::bad_input {

using Clock = std::chrono::steady_clock;

std::string be32(uint32_t value) {
  return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}

std::string frame_bytes(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = be32(uint32_t(payload.size()) << 8 | type);
  out.push_back(char(flags));
  out += be32(stream);
  out += payload;
  return out;
}

namespace {
void append_text(std::string& out, std::string_view text) {  // RFC 7541 5.2, prefix of 7 bits
  size_t size = text.size();
  if (size < 127) {
    out.push_back(char(size));
  } else {
    out.push_back(127);
    for (size -= 127; size >= 128; size /= 128) out.push_back(char(size % 128 + 128));
    out.push_back(char(size));
  }
  out += text;
}
}  // namespace

std::string plain_block(const FieldList& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out.push_back(0);
    append_text(out, name);
    append_text(out, value);
  }
  return out;
}

std::string grpc_frame(std::string_view message, uint8_t flag) {
  return std::string(1, char(flag)) + be32(uint32_t(message.size())) + std::string(message);
}

FieldList call_fields(std::string_view path) {
  return {{":method", "POST"},
          {":scheme", "http"},
          {":path", std::string(path)},
          {":authority", "localhost"},
          {"content-type", "application/grpc"},
          {"te", "trailers"}};
}

std::vector<std::string> Answer::messages() const {
  std::vector<std::string> out;
  std::string_view rest = data;
  while (rest.size() >= 5) {
    uint32_t size = 0;
    for (int i = 1; i < 5; ++i) size = size << 8 | uint8_t(rest[size_t(i)]);
    if (rest.size() < 5 + size) break;
    out.emplace_back(rest.substr(5, size));
    rest.remove_prefix(5 + size);
  }
  return out;
}

RawClient::RawClient(uint16_t port, Greeting greeting, int receive_buffer,
                     std::string_view settings) {
  nghttp2_hd_inflate_new(&inflater_);
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer > 0)
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd_);
    fd_ = -1;
    closed_ = true;
    return;
  }
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (greeting == Greeting::kNone) return;
  send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame_bytes(kSettings, 0, 0, settings) +
       frame_bytes(kWindowUpdate, 0, 0, be32(1 << 30)));
}

RawClient::RawClient(RawClient&& other) noexcept
    : give_back_windows(other.give_back_windows),
      fd_(std::exchange(other.fd_, -1)),
      next_stream_(other.next_stream_),
      in_(std::move(other.in_)),
      answers_(std::move(other.answers_)),
      window_(other.window_),
      initial_window_(other.initial_window_),
      windows_(std::move(other.windows_)),
      inflater_(std::exchange(other.inflater_, nullptr)),
      go_away_(std::move(other.go_away_)),
      closed_(other.closed_) {}

RawClient::~RawClient() {
  if (inflater_ != nullptr) nghttp2_hd_inflate_del(inflater_);
  if (fd_ >= 0) ::close(fd_);
}

ssize_t RawClient::send_some(std::string_view bytes) {
  const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

bool RawClient::send(std::string_view bytes) {
  const auto deadline = Clock::now() + kPatience;
  while (!bytes.empty()) {
    const ssize_t sent = send_some(bytes);
    if (sent < 0) return false;
    bytes.remove_prefix(size_t(sent));
    if (sent > 0) continue;
    pollfd wait{fd_, POLLOUT, 0};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0 || ::poll(&wait, 1, int(left)) <= 0) return false;
  }
  return true;
}

bool RawClient::frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  return send(frame_bytes(type, flags, stream, payload));
}

uint32_t RawClient::request(const FieldList& fields, std::optional<std::string_view> body) {
  const uint32_t id = next_stream_;
  next_stream_ += 2;
  constexpr size_t kFrame = 16'384;
  std::string block = plain_block(fields), out;
  for (size_t at = 0; at < block.size(); at += kFrame) {
    const uint8_t flags = at + kFrame >= block.size() ? kEndHeaders : 0;
    out += frame_bytes(at == 0 ? kHeaders : kContinuation, flags, id,
                       std::string_view(block).substr(at, kFrame));
  }
  send(out);
  if (body) data(id, *body, true);
  return id;
}

bool RawClient::data(uint32_t stream, std::string_view bytes, bool end,
                     std::chrono::milliseconds patience) {
  constexpr int64_t kFrame = 16'384;
  do {
    const int64_t size = std::min(kFrame, int64_t(bytes.size()));
    const auto deadline = Clock::now() + patience;
    while (size > 0 && (window_ < size || initial_window_ + windows_[stream] < size)) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
      if (left.count() < 0 || answers_[stream].ended || !read(left)) return false;
    }
    const std::string_view part = bytes.substr(0, size_t(size));
    bytes.remove_prefix(size_t(size));
    if (!frame(kData, end && bytes.empty() ? kEndStream : 0, stream, part)) return false;
    window_ -= size;
    windows_[stream] -= size;
  } while (!bytes.empty());
  return true;
}

bool RawClient::fill(Clock::time_point deadline) {
  while (!closed_) {
    char buffer[64 << 10];
    const ssize_t count = ::recv(fd_, buffer, sizeof buffer, 0);
    if (count > 0) {
      in_.append(buffer, size_t(count));
      return true;
    }
    if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
      closed_ = true;
      break;
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wait{fd_, POLLIN, 0};
    if (left < 0 || ::poll(&wait, 1, int(left)) <= 0) break;
  }
  return false;
}

std::optional<Frame> RawClient::read(std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (true) {
    if (in_.size() >= 9) {
      const size_t size =
          size_t(uint8_t(in_[0])) << 16 | size_t(uint8_t(in_[1])) << 8 | uint8_t(in_[2]);
      if (in_.size() >= 9 + size) {
        Frame out{uint8_t(in_[3]), uint8_t(in_[4]), 0, in_.substr(9, size)};
        for (size_t i = 5; i < 9; ++i) out.stream = out.stream << 8 | uint8_t(in_[i]);
        in_.erase(0, 9 + size);
        take(out);
        return out;
      }
    }
    if (!fill(deadline)) return std::nullopt;
  }
}

void RawClient::take(const Frame& frame) {
  const bool end = (frame.flags & kEndStream) != 0;
  auto number = [&](size_t at) {
    uint32_t out;
    std::memcpy(&out, frame.payload.data() + at, sizeof out);
    return ntohl(out);
  };
  switch (frame.type) {
    case kHeaders:
    case kContinuation:
      header_block_ += frame.payload;
      if ((frame.flags & kEndHeaders) != 0)
        take_headers(frame.stream, std::exchange(header_block_, {}), end);
      break;
    case kData: {
      Answer& answer = answers_[frame.stream];
      answer.data += frame.payload;
      answer.ended |= end;
      if (!give_back_windows || frame.payload.empty()) break;
      const std::string size = be32(uint32_t(frame.payload.size()));
      if (!end) (void)send_some(frame_bytes(kWindowUpdate, 0, frame.stream, size));
      (void)send_some(frame_bytes(kWindowUpdate, 0, 0, size));
      break;
    }
    case kRstStream:
      answers_[frame.stream].reset = number(0);
      answers_[frame.stream].ended = true;
      break;
    case kWindowUpdate:
      (frame.stream == 0 ? window_ : windows_[frame.stream]) += number(0);
      break;
    case kSettings:
      for (size_t at = 0; at + 6 <= frame.payload.size(); at += 6) {
        if (frame.payload[at] == 0 && frame.payload[at + 1] == 4) initial_window_ = number(at + 2);
      }
      if ((frame.flags & kAck) == 0) (void)send_some(frame_bytes(kSettings, kAck, 0, {}));
      break;
    case kPing:
      if ((frame.flags & kAck) == 0) (void)send_some(frame_bytes(kPing, kAck, 0, frame.payload));
      break;
    case kGoAway:
      if (!go_away_ || number(4) != 0) go_away_ = GoAway{number(4), frame.payload.substr(8)};
      break;
    default:
      break;
  }
}

void RawClient::take_headers(uint32_t stream, std::string_view block, bool end) {
  Answer& answer = answers_[stream];
  auto* at = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  while (true) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t taken = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, at, left, 1);
    if (taken < 0) break;
    at += taken;
    left -= size_t(taken);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      const std::string_view name(reinterpret_cast<char*>(field.name), field.namelen);
      const std::string_view value(reinterpret_cast<char*>(field.value), field.valuelen);
      if (name == ":status")
        std::from_chars(value.data(), value.data() + value.size(), answer.http_status);
      if (name == "grpc-status")
        std::from_chars(value.data(), value.data() + value.size(), answer.grpc_status);
      if (name == "grpc-message")
        answer.grpc_message = net::percent_decode(value).value_or(std::string(value));
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  answer.ended |= end;
}

const Answer& RawClient::wait(uint32_t stream, size_t messages) {
  const auto deadline = Clock::now() + kPatience;
  Answer& answer = answers_[stream];
  while (!answer.ended && Clock::now() < deadline) {
    if (messages != SIZE_MAX && answer.messages().size() >= messages) break;
    if (!read(std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now())))
      break;
  }
  return answer;
}

bool RawClient::wait_closed(std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (!closed_ && Clock::now() < deadline)
    (void)read(std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()));
  return closed_;
}

std::string RawClient::read_text(std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (fill(deadline)) {
  }
  return std::exchange(in_, {});
}

}  // namespace rs::store::bad_input
