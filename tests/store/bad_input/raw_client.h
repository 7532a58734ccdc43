// An HTTP/2 client that does what it is told, right or wrong: blocking, frame by frame. For tests
// that a server must live through. Every wait ends after kPatience.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace rs::store::bad_input {

constexpr std::chrono::milliseconds kPatience{15'000};

// Frame types and flags (RFC 9113 6).
enum : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
enum : uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8 };

struct Frame {
  uint8_t type = 0, flags = 0;
  uint32_t stream = 0;
  std::string payload;
};

// What the server said on one stream.
struct Answer {
  int http_status = 0;
  int grpc_status = -1;           // -1: none came
  std::string grpc_message;       // percent-decoded
  std::string data;               // of all DATA frames
  std::optional<uint32_t> reset;  // code of RST_STREAM
  bool ended = false;             // END_STREAM or RST_STREAM
  // The messages of the gRPC stream in data.
  std::vector<std::string> messages() const;
};

using FieldList = std::vector<std::pair<std::string, std::string>>;

std::string be32(uint32_t value);
std::string frame_bytes(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
// HPACK without tables or Huffman: literal fields that are not indexed.
std::string plain_block(const FieldList& fields);
std::string grpc_frame(std::string_view message, uint8_t flag = 0);
FieldList call_fields(std::string_view path);

class RawClient {
 public:
  enum class Greeting { kNone, kPreface };
  // receive_buffer: of the socket, for clients that do not read; 0: the system's.
  explicit RawClient(uint16_t port, Greeting greeting = Greeting::kPreface, int receive_buffer = 0,
                     std::string_view settings = {});
  ~RawClient();
  RawClient(RawClient&& other) noexcept;
  RawClient(const RawClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  // False once the server has closed, or takes nothing for kPatience.
  bool send(std::string_view bytes);
  // Sends what the server takes at once, without waiting; how much that was, or -1.
  ssize_t send_some(std::string_view bytes);
  bool frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);

  // Opens a stream: its headers, and the body when given, which ends it.
  uint32_t request(const FieldList& fields, std::optional<std::string_view> body);
  uint32_t call(std::string_view path, std::string_view message) {
    return request(call_fields(path), grpc_frame(message));
  }
  uint32_t open(std::string_view path) { return request(call_fields(path), std::nullopt); }

  // Sends DATA within the windows that the server gives; false: none was given for so long, or the
  // stream has ended.
  bool data(uint32_t stream, std::string_view bytes, bool end = false,
            std::chrono::milliseconds patience = kPatience);

  // Reads until the stream has ended, messages have come, or the connection is over.
  const Answer& wait(uint32_t stream, size_t messages = SIZE_MAX);
  // Answers, data and all, of every stream so far.
  const Answer& answer(uint32_t stream) { return answers_[stream]; }
  // Reads what is there; nothing: closed, or nothing came in time.
  std::optional<Frame> read(std::chrono::milliseconds patience = kPatience);
  // Reads until the server closes; false: it did not.
  bool wait_closed(std::chrono::milliseconds patience = kPatience);
  std::string read_text(
      std::chrono::milliseconds patience = kPatience);  // of HTTP/1, until the server closes

  struct GoAway {
    uint32_t code = 0;
    std::string text;
  };
  const std::optional<GoAway>& go_away() const { return go_away_; }
  bool closed() const { return closed_; }
  int fd() const { return fd_; }
  bool give_back_windows = true;  // WINDOW_UPDATE for what was read

 private:
  bool fill(std::chrono::steady_clock::time_point deadline);
  void take(const Frame& frame);
  void take_headers(uint32_t stream, std::string_view block, bool end);

  int fd_ = -1;
  uint32_t next_stream_ = 1;
  std::string in_;
  std::map<uint32_t, Answer> answers_;
  int64_t window_ = 65'535, initial_window_ = 65'535;
  std::map<uint32_t, int64_t> windows_;  // of streams, less initial_window_
  std::string header_block_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::optional<GoAway> go_away_;
  bool closed_ = false;
};

}  // namespace rs::store::bad_input
