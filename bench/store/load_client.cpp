#include "load_client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <fmt/format.h>

namespace rs::bench {
namespace {

constexpr uint8_t kData = 0, kHeaders = 1, kRstStream = 3, kSettings = 4, kPing = 6, kGoaway = 7,
                  kWindowUpdate = 8, kContinuation = 9;
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kPriority = 32;
constexpr size_t kFrameHeaderBytes = 9, kMessagePrefixBytes = 5, kFrameBytesMax = 16384;

void append_u32(std::string& out, uint32_t value) {
  const char bytes[] = {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
  out.append(bytes, 4);
}

uint32_t read_u32(std::string_view in) {
  return uint32_t(uint8_t(in[0])) << 24 | uint32_t(uint8_t(in[1])) << 16 |
         uint32_t(uint8_t(in[2])) << 8 | uint8_t(in[3]);
}

void append_frame_header(std::string& out, size_t length, uint8_t type, uint8_t flags,
                         uint32_t stream_id) {
  const char bytes[] = {char(length >> 16), char(length >> 8), char(length), char(type),
                        char(flags)};
  out.append(bytes, 5);
  append_u32(out, stream_id);
}

// RFC 7541, 6.1: such a block changes no table, and means the same as long as nothing else does.
bool indexed_fields_only(std::string_view block) {
  return !block.empty() &&
         std::ranges::all_of(block, [](char c) { return uint8_t(c) > 0x80 && uint8_t(c) < 0xff; });
}

}  // namespace

volatile int g_stop_signal = 0;

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

void StreamHandler::on_fail(const Stream&, int status, const std::string& message) {
  throw BenchError(fmt::format("a call failed, status {}: {}", status, message));
}

Connection::Connection(Loop& loop, const std::string& host, uint16_t port)
    : loop_(loop), authority_(fmt::format("{}:{}", host, port)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
    throw BenchError("not an IPv4 address: " + host);
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0 || ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    std::string why = std::strerror(errno);
    if (fd_ >= 0) ::close(fd_);
    throw BenchError(fmt::format("cannot connect to {}: {}", authority_, why));
  }
  int one = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  nghttp2_hd_deflate_new(&deflater_, 4096);
  nghttp2_hd_inflate_new(&inflater_);
  out_ = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  append_frame_header(out_, 12, kSettings, 0, 0);
  out_ += std::string("\0\2", 2);  // ENABLE_PUSH
  append_u32(out_, 0);
  out_ += std::string("\0\4", 2);  // INITIAL_WINDOW_SIZE
  append_u32(out_, kStreamWindow);
  write_window_update(0, kConnectionWindow - 65535);
  loop_.add(*this);
  flush();
}

Connection::~Connection() {
  nghttp2_hd_deflate_del(deflater_);
  nghttp2_hd_inflate_del(inflater_);
  ::close(fd_);
}

uint32_t Connection::call(std::string_view path, std::string_view message, StreamHandler& handler,
                          uint32_t user) {
  return start(path, message, handler, user, true);
}

uint32_t Connection::open(std::string_view path, std::string_view message, StreamHandler& handler,
                          uint32_t user) {
  return start(path, message, handler, user, false);
}

uint32_t Connection::start(std::string_view path, std::string_view message, StreamHandler& handler,
                           uint32_t user, bool end) {
  uint32_t id = next_stream_id_;
  next_stream_id_ += 2;
  State state;
  state.stream = {.connection = this, .id = id, .user = user, .begin_ns = now_ns()};
  state.handler = &handler;
  streams_.push_back(std::move(state));
  write_headers(id, path);
  write_data(id, message, end);
  return id;
}

void Connection::send(uint32_t stream_id, std::string_view message) {
  write_data(stream_id, message, false);
}

void Connection::write_headers(uint32_t stream_id, std::string_view path) {
  auto known = header_blocks_.find(path);
  if (known != header_blocks_.end()) {
    append_frame_header(out_, known->second.size(), kHeaders, kEndHeaders, stream_id);
    out_ += known->second;
    return;
  }
  auto field = [](std::string_view name, std::string_view value) {
    return nghttp2_nv{reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE};
  };
  nghttp2_nv fields[] = {field(":method", "POST"),
                         field(":scheme", "http"),
                         field(":path", path),
                         field(":authority", authority_),
                         field("content-type", "application/grpc"),
                         field("user-agent", "store-bench"),
                         field("te", "trailers")};
  uint8_t buffer[1024];
  ssize_t length =
      nghttp2_hd_deflate_hd(deflater_, buffer, sizeof buffer, fields, std::size(fields));
  if (length < 0) throw BenchError("HPACK cannot encode the request");
  std::string block(reinterpret_cast<char*>(buffer), size_t(length));
  append_frame_header(out_, block.size(), kHeaders, kEndHeaders, stream_id);
  out_ += block;
  if (indexed_fields_only(block)) {
    header_blocks_.emplace(path, std::move(block));
  } else {
    header_blocks_.clear();  // the table has grown: what was numbered has other numbers
  }
}

// In the order of calls: a message never overtakes one that waits for the window.
void Connection::write_data(uint32_t stream_id, std::string_view message, bool end) {
  if (!queue_.empty() || int64_t(message.size() + kMessagePrefixBytes) > send_window_) {
    queue_.push_back({stream_id, std::string(message), end});
    return;
  }
  put_data(stream_id, message, end);
}

void Connection::put_data(uint32_t stream_id, std::string_view message, bool end) {
  size_t total = message.size() + kMessagePrefixBytes;
  send_window_ -= int64_t(total);
  size_t first = std::min(total, kFrameBytesMax);
  append_frame_header(out_, first, kData, end && first == total ? kEndStream : 0, stream_id);
  out_.push_back(0);
  append_u32(out_, uint32_t(message.size()));
  out_.append(message.substr(0, first - kMessagePrefixBytes));
  for (size_t at = first - kMessagePrefixBytes; at < message.size();) {
    std::string_view part = message.substr(at, kFrameBytesMax);
    at += part.size();
    append_frame_header(out_, part.size(), kData, end && at == message.size() ? kEndStream : 0,
                        stream_id);
    out_.append(part);
  }
}

void Connection::drain_queue() {
  size_t sent = 0;
  while (sent < queue_.size() &&
         int64_t(queue_[sent].message.size() + kMessagePrefixBytes) <= send_window_) {
    put_data(queue_[sent].stream_id, queue_[sent].message, queue_[sent].end);
    ++sent;
  }
  queue_.erase(queue_.begin(), queue_.begin() + std::ptrdiff_t(sent));
}

void Connection::write_window_update(uint32_t stream_id, uint32_t bytes) {
  append_frame_header(out_, 4, kWindowUpdate, 0, stream_id);
  append_u32(out_, bytes);
}

void Connection::flush() {
  if (waiting_for_writable_ || reading_) return;  // on_event flushes when it has read all
  while (out_sent_ < out_.size()) {
    ssize_t n =
        ::send(fd_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      out_sent_ += size_t(n);
    } else if (errno == EAGAIN) {
      waiting_for_writable_ = true;
      loop_.want_writable(*this, true);
      return;
    } else if (errno != EINTR) {
      throw BenchError(fmt::format("sending to {}: {}", authority_, std::strerror(errno)));
    }
  }
  out_.clear();
  out_sent_ = 0;
}

void Connection::on_event(uint32_t events) {
  if (events & EPOLLOUT) {
    waiting_for_writable_ = false;
    loop_.want_writable(*this, false);
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive();
  if (out_sent_ < out_.size()) flush();
}

void Connection::receive() {
  std::vector<char>& scratch = loop_.scratch();
  size_t kept = leftover_.size();
  std::memcpy(scratch.data(), leftover_.data(), kept);
  ssize_t n = ::recv(fd_, scratch.data() + kept, scratch.size() - kept, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    throw BenchError(fmt::format("{} closed the connection{}", authority_,
                                 n < 0 ? fmt::format(": {}", std::strerror(errno)) : ""));
  }
  bytes_received_ += uint64_t(n);
  reading_ = true;
  std::string_view in(scratch.data(), kept + size_t(n));
  size_t used = read_frames(in);
  reading_ = false;
  leftover_.assign(in.substr(used));
}

size_t Connection::read_frames(std::string_view in) {
  size_t at = 0;
  while (in.size() - at >= kFrameHeaderBytes) {
    std::string_view head = in.substr(at, kFrameHeaderBytes);
    size_t length = read_u32(head) >> 8;
    if (length > kFrameBytesMax) throw BenchError("a frame is larger than allowed");
    if (in.size() - at - kFrameHeaderBytes < length) break;
    on_frame(uint8_t(head[3]), uint8_t(head[4]), read_u32(head.substr(5)) & 0x7fffffff,
             in.substr(at + kFrameHeaderBytes, length));
    at += kFrameHeaderBytes + length;
  }
  return at;
}

void Connection::on_frame(uint8_t type, uint8_t flags, uint32_t stream_id,
                          std::string_view payload) {
  if ((type == kData || type == kHeaders) && (flags & kPadded))
    throw BenchError("padding is not expected");
  switch (type) {
    case kData:
      return on_data(stream_id, payload, flags & kEndStream);
    case kHeaders:
      if (!(flags & kEndHeaders) || (flags & kPriority))
        throw BenchError("a header block in parts is not expected");
      return on_headers(stream_id, payload, flags & kEndStream);
    case kSettings:
      if (!(flags & kAck)) on_settings(payload);
      return;
    case kPing:
      if (flags & kAck) return;
      append_frame_header(out_, 8, kPing, kAck, 0);
      out_.append(payload);
      return;
    case kWindowUpdate:
      if (stream_id == 0 && payload.size() == 4) {
        send_window_ += read_u32(payload) & 0x7fffffff;
        drain_queue();
      }
      return;
    case kRstStream:
      if (find(stream_id) == streams_.size()) return;
      throw BenchError(
          fmt::format("stream reset, error {}", payload.size() == 4 ? read_u32(payload) : 0));
    case kGoaway:
      throw BenchError(fmt::format("GOAWAY: {}", payload.size() > 8 ? payload.substr(8) : payload));
    case kContinuation:
      throw BenchError("CONTINUATION is not expected");
    default:
      return;
  }
}

void Connection::on_settings(std::string_view payload) {
  for (; payload.size() >= 6; payload.remove_prefix(6)) {
    if (payload[0] == 0 && payload[1] == 1) {  // HEADER_TABLE_SIZE
      nghttp2_hd_deflate_change_table_size(deflater_,
                                           std::min<uint32_t>(read_u32(payload.substr(2)), 4096));
      header_blocks_.clear();
    }
  }
  append_frame_header(out_, 0, kSettings, kAck, 0);
}

size_t Connection::find(uint32_t stream_id) const {
  size_t i = 0;
  while (i < streams_.size() && streams_[i].stream.id != stream_id) ++i;
  return i;
}

void Connection::on_data(uint32_t stream_id, std::string_view payload, bool end) {
  consumed_bytes_ += uint32_t(payload.size());
  if (consumed_bytes_ > kConnectionWindow / 4) {
    write_window_update(0, consumed_bytes_);
    consumed_bytes_ = 0;
  }
  size_t index = find(stream_id);
  if (index == streams_.size()) return;
  State& state = streams_[index];
  state.consumed_bytes += uint32_t(payload.size());
  if (!end && state.consumed_bytes > kStreamWindow / 4) {
    write_window_update(stream_id, state.consumed_bytes);
    state.consumed_bytes = 0;
  }
  read_messages(index, payload);
  if (end) throw BenchError("a call ended without trailers");
}

// Handlers may start calls, which moves streams_: places are looked up anew after each.
void Connection::read_messages(size_t index, std::string_view data) {
  uint32_t id = streams_[index].stream.id;
  if (size_t skip = std::min(streams_[index].skip_bytes, data.size()); skip > 0) {
    streams_[index].skip_bytes -= skip;
    data.remove_prefix(skip);
  }
  std::string joined;
  if (!streams_[index].partial.empty()) {
    State& state = streams_[index];
    state.partial.append(data);
    size_t wanted = state.partial.size() < kMessagePrefixBytes
                        ? kMessagePrefixBytes
                        : kMessagePrefixBytes + read_u32(std::string_view(state.partial).substr(1));
    if (state.partial.size() < wanted) return;
    joined = std::move(state.partial);
    state.partial.clear();
    data = joined;
  }
  while (data.size() >= kMessagePrefixBytes) {
    size_t length = read_u32(data.substr(1));
    size_t here = std::min(length, data.size() - kMessagePrefixBytes);
    if (here < length && !count_only_) break;
    State& state = streams_[index];
    state.skip_bytes = length - here;
    Stream stream = state.stream;
    state.handler->on_message(
        stream, count_only_ ? std::string_view() : data.substr(kMessagePrefixBytes, length));
    index = find(id);
    if (index == streams_.size()) return;
    streams_[index].stream = stream;
    data.remove_prefix(kMessagePrefixBytes + here);
  }
  streams_[index].partial.assign(data);
}

void Connection::on_headers(uint32_t stream_id, std::string_view block, bool end) {
  size_t index = find(stream_id);
  if (end && !ok_trailers_.empty() && block == ok_trailers_) {
    if (index < streams_.size()) finish(index, 0, {});
    return;
  }
  std::string message;
  int status = inflate(block, message);
  if (!end || index == streams_.size()) return;
  if (status == 0 && indexed_fields_only(block)) ok_trailers_ = block;
  finish(index, status, message);
}

int Connection::inflate(std::string_view block, std::string& message) {
  if (!indexed_fields_only(block)) ok_trailers_.clear();
  int status = 2;  // UNKNOWN, when there is none
  const auto* in = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  while (true) {
    nghttp2_nv field;
    int flags = 0;
    ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, in, left, 1);
    if (used < 0) throw BenchError("HPACK: the answer's headers are malformed");
    in += used;
    left -= size_t(used);
    if (flags & NGHTTP2_HD_INFLATE_EMIT) {
      std::string_view name(reinterpret_cast<char*>(field.name), field.namelen);
      std::string value(reinterpret_cast<char*>(field.value), field.valuelen);
      if (name == "grpc-status") status = std::atoi(value.c_str());
      if (name == "grpc-message") message = value;
    }
    if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
    if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && left == 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  return status;
}

void Connection::finish(size_t index, int status, const std::string& message) {
  Stream stream = streams_[index].stream;
  StreamHandler* handler = streams_[index].handler;
  if (index + 1 != streams_.size()) streams_[index] = std::move(streams_.back());
  streams_.pop_back();
  if (status == 0) {
    handler->on_end(stream);
  } else {
    handler->on_fail(stream, status, message);
  }
}

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), scratch_(256 << 10) {}

Loop::~Loop() {
  ::close(epoll_);
}

void Loop::add(Connection& connection) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = &connection}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd(), &event);
}

void Loop::want_writable(Connection& connection, bool wanted) {
  epoll_event event{.events = uint32_t(EPOLLIN) | (wanted ? uint32_t(EPOLLOUT) : 0u),
                    .data = {.ptr = &connection}};
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd(), &event);
}

void Loop::poll(int64_t until_ns) {
  if (g_stop_signal != 0) throw BenchError("stopped by a signal");
  epoll_event events[256];
  int64_t wait_ns = std::clamp<int64_t>(until_ns - now_ns(), 0, 100'000'000);
  timespec wait{.tv_sec = 0, .tv_nsec = wait_ns};
  int n = ::epoll_pwait2(epoll_, events, std::size(events), &wait, nullptr);
  for (int i = 0; i < n; ++i)
    static_cast<Connection*>(events[i].data.ptr)->on_event(events[i].events);
}

void Loop::run_until(const std::function<bool()>& done, int64_t deadline_ns, const char* what) {
  while (!done()) {
    if (now_ns() > deadline_ns) throw BenchError(fmt::format("{}: not done in time", what));
    poll(deadline_ns);
  }
}

void Loop::run_for(int64_t ns) {
  for (int64_t until = now_ns() + ns; now_ns() < until;) poll(until);
}

namespace {
struct OneCall : StreamHandler {
  void on_message(Stream&, std::string_view message) override { answer = message; }
  void on_end(const Stream&) override { ended = true; }
  std::string answer;
  bool ended = false;
};
}  // namespace

std::string call_once(Loop& loop, Connection& connection, std::string_view path,
                      std::string_view message, int64_t timeout_ns) {
  OneCall call;
  connection.call(path, message, call);
  connection.flush();
  loop.run_until([&] { return call.ended; }, now_ns() + timeout_ns, std::string(path).c_str());
  return std::move(call.answer);
}

}  // namespace rs::bench
