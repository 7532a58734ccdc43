// HTTP/1.1 messages as bytes (RFC 9112): pure parsers and serialisers, no I/O. For the server and client of this room
// and for proxies that move messages between Streams themselves.
//
// Parsing is strict where leniency lets two parties disagree on where a message ends (request smuggling): only CRLF ends
// a line, no folding, no space before a colon, one Content-Length of digits only, Transfer-Encoding is exactly "chunked"
// and never comes with Content-Length. Any thread; nothing is shared. Errors: kBadRequest, kResourceExhausted (a limit);
// status_of() says with which status to answer.
#pragma once

#include "net/http.h"

namespace rs::net::http1 {

struct Limits {
  size_t head_bytes = 64 << 10;   // start line and fields
  size_t header_count = 128;
  size_t chunk_line_bytes = 256;  // size and extensions of one chunk
};

struct RequestHead {
  std::string method;
  std::string target;  // as sent: origin, absolute, authority or asterisk form
  int minor = 1;       // HTTP/1.minor
  Headers headers;
};

struct ResponseHead {
  int status = 200;
  std::string reason;
  int minor = 1;
  Headers headers;
};

// Parses the head at the start of bytes. The number of bytes it takes; 0: not complete yet, call again with more.
Result<size_t> parse_request_head(std::string_view bytes, const Limits& limits, RequestHead& out);
Result<size_t> parse_response_head(std::string_view bytes, const Limits& limits, ResponseHead& out);

// 400, 431 (a limit), 505 (not HTTP/1.x).
int status_of(const Error& error);

// Absolute-form becomes origin-form, and its authority replaces Host (RFC 9112 3.2.2; both must agree). authority out.
Result<void> normalize_target(RequestHead& head, std::string& authority);

struct Framing {
  enum class Kind { kNone, kLength, kChunked, kUntilClose } kind = Kind::kNone;
  uint64_t length = 0;
};
Result<Framing> request_framing(const RequestHead& head);
// method: of the request that is answered.
Result<Framing> response_framing(std::string_view method, const ResponseHead& head);
bool keep_alive(int minor, const Headers& headers);
bool wants_upgrade(const Headers& headers);  // "Connection: upgrade" and "Upgrade: …"

// Decodes a chunked body piece by piece. Extensions are dropped; trailers are limited like a head.
class ChunkedDecoder {
 public:
  explicit ChunkedDecoder(Limits limits = {}) : limits_(limits) {}
  // Takes what it can of bytes, appending the content to out; the number of bytes taken (all, unless done()).
  Result<size_t> feed(std::string_view bytes, std::string& out);
  bool done() const { return state_ == State::kDone; }
  const Headers& trailers() const { return trailers_; }

 private:
  enum class State { kSize, kData, kDataEnd, kTrailers, kDone };
  Result<void> size_line(std::string_view line);
  Limits limits_;
  State state_ = State::kSize;
  std::string partial_;    // of a line
  uint64_t remaining_ = 0; // of the chunk
  Headers trailers_;
};

bool is_token(std::string_view text);
bool is_field_value(std::string_view text);  // no control characters but tab

// Fields whose name or value could break the message are left out: nothing a handler says can forge a second message.
void write_request_head(std::string& out, std::string_view method, std::string_view target, const Headers& headers);
void write_response_head(std::string& out, int status, const Headers& headers);  // all headers, as they are
void write_fields(std::string& out, const Headers& headers);                     // without the empty line
void write_chunk_size(std::string& out, size_t size);                            // "1f\r\n"
std::string_view reason_phrase(int status);

}  // namespace rs::net::http1
