// The framing of gRPC messages and its other texts on the wire (PROTOCOL-HTTP2.md). Pure. Inside this room only.
#pragma once

#include "net/grpc.h"

namespace rs::net::grpc {

constexpr size_t kPrefixBytes = 5;  // flag and length
void write_prefix(std::string& out, size_t message_bytes);

// Cuts a stream of bytes into messages.
class MessageReader {
 public:
  explicit MessageReader(size_t limit) : limit_(limit) {}
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole message; nothing: more bytes are needed. Too large a message is refused as soon as its length is known.
  std::optional<std::string> next(Status& error);
  bool empty() const { return buffer_.size() == offset_; }
  size_t size() const { return buffer_.size() - offset_; }

 private:
  const size_t limit_;
  std::string buffer_;
  size_t offset_ = 0;
};

std::string encode_message(std::string_view text);  // grpc-message: percent-encoded
std::string decode_message(std::string_view text);
std::string write_timeout(Duration timeout);        // "1500m"
std::optional<Duration> parse_timeout(std::string_view text);
Status status_of_http(int http_status);             // of an answer without grpc-status
Code code_of(StatusCode code);
StatusCode status_code_of(Code code);

}  // namespace rs::net::grpc
