#include "net/http1.h"

#include <charconv>

#include "net/text.h"

namespace rs::net::http1 {
namespace {

// RFC 9110 5.6.2
constexpr auto kTokenChars = [] {
  std::array<bool, 256> out{};
  for (int c = '0'; c <= '9'; ++c) out[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) out[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) out[static_cast<size_t>(c)] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
    out[static_cast<unsigned char>(c)] = true;
  return out;
}();

std::unexpected<Error> bad(std::string_view what) { return fail(Code::kBadRequest, "malformed HTTP message: {}", what); }

// Where the head ends (after its empty line), 0: not yet. A bare LF ends a line here, so that the strict parser sees
// and refuses it now rather than after a timeout.
size_t head_end(std::string_view bytes) {
  size_t position = 0;
  while ((position = bytes.find('\n', position)) != std::string_view::npos) {
    ++position;
    if (position < bytes.size() && bytes[position] == '\n') return position + 1;
    if (position + 1 < bytes.size() && bytes[position] == '\r' && bytes[position + 1] == '\n') return position + 2;
  }
  return 0;
}

// The next line of text without its CRLF; false when it ends otherwise.
bool next_line(std::string_view& text, std::string_view& line) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos || end == 0 || text[end - 1] != '\r') return false;
  line = text.substr(0, end - 1);
  text.remove_prefix(end + 1);
  return line.find('\r') == std::string_view::npos;
}

Result<void> parse_fields(std::string_view text, const Limits& limits, Headers& out) {
  size_t count = 0;
  std::string_view line;
  while (!text.empty()) {
    if (!next_line(text, line)) return bad("line not ended by CRLF");
    if (line.empty()) return {};
    if (line[0] == ' ' || line[0] == '\t') return bad("folded header field");
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return bad("header field without a colon");
    if (!is_token(line.substr(0, colon))) return bad("invalid header field name");
    const std::string_view value = trim(line.substr(colon + 1));
    if (!is_field_value(value)) return bad("invalid header field value");
    if (++count > limits.header_count)
      return fail(Code::kResourceExhausted, "more than {} header fields", limits.header_count);
    out.add(std::string(line.substr(0, colon)), std::string(value));
  }
  return {};
}

// The head's text, 0 bytes when it is not complete. Empty lines before a request are skipped (RFC 9112 2.2).
Result<size_t> frame_head(std::string_view bytes, const Limits& limits, std::string_view& head, bool request) {
  size_t skipped = 0;
  while (request && skipped < 4 && bytes.substr(skipped).starts_with("\r\n")) skipped += 2;
  const std::string_view rest = bytes.substr(skipped);
  if (rest.starts_with('\n')) return bad("line not ended by CRLF");
  const size_t end = head_end(rest);
  if (end == 0 || end > limits.head_bytes) {
    if (end > 0 || rest.size() > limits.head_bytes)
      return fail(Code::kResourceExhausted, "the message head is larger than {} bytes", limits.head_bytes);
    return size_t{0};
  }
  head = rest.substr(0, end);
  return skipped + end;
}

// "HTTP/1.1": the minor version; -1: another major version; -2: no version at all.
int parse_version(std::string_view text) {
  if (text.size() != 8 || !text.starts_with("HTTP/") || text[6] != '.' || text[5] < '0' || text[5] > '9' ||
      text[7] < '0' || text[7] > '9')
    return -2;
  if (text[5] != '1') return -1;
  return text[7] == '0' ? 0 : 1;
}

constexpr std::string_view kBadVersion = "HTTP version not supported";

bool is_host(std::string_view host) {
  if (host.empty()) return false;
  for (const char c : host) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || std::string_view("@/\\?#,<>\"{}|^`").find(c) != std::string_view::npos)
      return false;
  }
  return true;
}

Result<void> check_host(const RequestHead& head) {
  size_t count = 0;
  for (const auto& [name, value] : head.headers) {
    if (!equal_ignoring_case(name, "host")) continue;
    if (++count > 1) return bad("more than one Host");
    if (!is_host(value)) return bad("invalid Host");
  }
  if (count == 0 && head.minor >= 1) return bad("missing Host");
  return {};
}

Result<void> check_target(const RequestHead& head) {
  const std::string_view target = head.target;
  for (const char c : target) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return bad("invalid request target");
  }
  if (target.starts_with('/')) return {};
  if (target == "*") {
    if (head.method == "OPTIONS") return {};
  } else if (head.method == "CONNECT") {
    if (is_host(target)) return {};
  } else if (target.starts_with("http://") || target.starts_with("https://")) {
    return {};
  }
  return bad("invalid request target");
}

bool parse_length(std::string_view text, uint64_t& out) {
  if (text.empty() || text.size() > 18) return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return std::from_chars(text.data(), text.data() + text.size(), out).ec == std::errc();
}

// The framing fields of either kind of message. kNone: neither field is there.
Result<Framing> fields_framing(int minor, const Headers& headers) {
  Framing out;
  size_t lengths = 0, codings = 0;
  for (const auto& [name, value] : headers) {
    if (equal_ignoring_case(name, "content-length")) {
      if (++lengths > 1) return bad("more than one Content-Length");
      if (!parse_length(value, out.length)) return bad("invalid Content-Length");
      out.kind = Framing::Kind::kLength;
    } else if (equal_ignoring_case(name, "transfer-encoding")) {
      if (++codings > 1 || !equal_ignoring_case(value, "chunked")) return bad("unsupported Transfer-Encoding");
    }
  }
  if (codings == 0) return out;
  if (lengths > 0) return bad("Content-Length with Transfer-Encoding");
  if (minor == 0) return bad("Transfer-Encoding in HTTP/1.0");
  out.kind = Framing::Kind::kChunked;
  return out;
}

}  // namespace

bool is_token(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!kTokenChars[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

bool is_field_value(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < ' ' && byte != '\t') || byte == 0x7f) return false;
  }
  return true;
}

namespace {
// Whether a request can begin so. A TLS client at a port without TLS is told at once, not when it gives up.
bool may_begin(std::string_view bytes) {
  bytes.remove_prefix(std::min(bytes.find_first_not_of("\r\n"), bytes.size()));
  const std::string_view method = bytes.substr(0, bytes.find(' '));
  return method.empty() || is_token(method.substr(0, method.find('\r')));
}
}  // namespace

Result<size_t> parse_request_head(std::string_view bytes, const Limits& limits, RequestHead& out) {
  std::string_view text, line;
  auto size = frame_head(bytes, limits, text, true);
  if (size && *size == 0 && !may_begin(bytes)) return bad("invalid request line");
  if (!size || *size == 0) return size;
  if (!next_line(text, line)) return bad("line not ended by CRLF");
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return bad("invalid request line");
  out = {};
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, last - first - 1);
  if (!is_token(out.method) || out.target.empty()) return bad("invalid request line");
  out.minor = parse_version(line.substr(last + 1));
  if (out.minor == -2) return bad("invalid request line");
  if (auto checked = check_target(out); !checked) return fail(checked.error());
  if (out.minor == -1) return fail(Code::kBadRequest, "{}", kBadVersion);
  if (auto parsed = parse_fields(text, limits, out.headers); !parsed) return fail(parsed.error());
  if (auto checked = check_host(out); !checked) return fail(checked.error());
  return size;
}

Result<size_t> parse_response_head(std::string_view bytes, const Limits& limits, ResponseHead& out) {
  std::string_view text, line;
  auto size = frame_head(bytes, limits, text, false);
  if (!size || *size == 0) return size;
  if (!next_line(text, line)) return bad("line not ended by CRLF");
  // "HTTP/1.1 200" with or without " reason"
  if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) return bad("invalid status line");
  out = {};
  out.minor = parse_version(line.substr(0, 8));
  if (out.minor < 0) return bad("invalid status line");
  for (const char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return bad("invalid status line");
  }
  out.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  if (out.status < 100) return bad("invalid status line");
  if (line.size() > 13) out.reason = line.substr(13);
  if (!is_field_value(out.reason)) return bad("invalid status line");
  if (auto parsed = parse_fields(text, limits, out.headers); !parsed) return fail(parsed.error());
  return size;
}

int status_of(const Error& error) {
  if (error.code == Code::kResourceExhausted) return 431;
  return error.message == kBadVersion ? 505 : 400;
}

Result<void> normalize_target(RequestHead& head, std::string& authority) {
  authority = head.headers.get("host");
  if (head.method == "CONNECT") {
    authority = head.target;
    return {};
  }
  const size_t scheme_end = head.target.find("://");
  if (head.target.starts_with('/') || head.target == "*" || scheme_end == std::string::npos) return {};
  const size_t begin = scheme_end + 3, end = head.target.find_first_of("/?", begin);
  const std::string named = head.target.substr(begin, end == std::string::npos ? end : end - begin);
  if (!is_host(named)) return bad("invalid request target");
  if (!authority.empty() && !equal_ignoring_case(authority, named)) return bad("Host differs from the request target");
  authority = named;
  head.headers.set("Host", named);
  std::string rest = end == std::string::npos ? "/" : head.target.substr(end);
  head.target = rest.starts_with('?') ? "/" + rest : rest;
  return {};
}

Result<Framing> request_framing(const RequestHead& head) { return fields_framing(head.minor, head.headers); }

Result<Framing> response_framing(std::string_view method, const ResponseHead& head) {
  if (method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304 ||
      (method == "CONNECT" && head.status < 300))
    return Framing{};
  auto out = fields_framing(head.minor, head.headers);
  if (out && out->kind == Framing::Kind::kNone) out->kind = Framing::Kind::kUntilClose;
  return out;
}

bool keep_alive(int minor, const Headers& headers) {
  bool close = false, keep = false;
  for (const auto& [name, value] : headers) {
    if (!equal_ignoring_case(name, "connection")) continue;
    close = close || list_has(value, "close");
    keep = keep || list_has(value, "keep-alive");
  }
  return !close && (minor >= 1 || keep);
}

bool wants_upgrade(const Headers& headers) {
  if (!headers.has("upgrade")) return false;
  for (const auto& [name, value] : headers) {
    if (equal_ignoring_case(name, "connection") && list_has(value, "upgrade")) return true;
  }
  return false;
}

Result<void> ChunkedDecoder::size_line(std::string_view line) {
  size_t digits = 0;
  uint64_t value = 0;
  while (digits < line.size() && std::isxdigit(static_cast<unsigned char>(line[digits]))) {
    const char c = lower(line[digits++]);
    if (digits > 15) return bad("chunk size too large");
    value = value * 16 + static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  if (digits == 0) return bad("invalid chunk size");
  // Extensions: ";name" or ";name=value", token or quoted-string; checked, not kept.
  std::string_view rest = line.substr(digits);
  while (!rest.empty()) {
    if (rest[0] != ';') return bad("invalid chunk extension");
    rest.remove_prefix(1);
    size_t end = 0;
    while (end < rest.size() && kTokenChars[static_cast<unsigned char>(rest[end])]) ++end;
    if (end == 0) return bad("invalid chunk extension");
    rest.remove_prefix(end);
    if (!rest.starts_with('=')) continue;
    rest.remove_prefix(1);
    end = 0;
    if (rest.starts_with('"')) {
      end = 1;
      while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2 : 1;
      if (end++ >= rest.size()) return bad("invalid chunk extension");
    } else {
      while (end < rest.size() && kTokenChars[static_cast<unsigned char>(rest[end])]) ++end;
      if (end == 0) return bad("invalid chunk extension");
    }
    if (!is_field_value(rest.substr(0, end))) return bad("invalid chunk extension");
    rest.remove_prefix(end);
  }
  remaining_ = value;
  state_ = value == 0 ? State::kTrailers : State::kData;
  return {};
}

Result<size_t> ChunkedDecoder::feed(std::string_view bytes, std::string& out) {
  size_t taken = 0;
  while (taken < bytes.size() && state_ != State::kDone) {
    const std::string_view rest = bytes.substr(taken);
    if (state_ == State::kData) {
      const size_t count = static_cast<size_t>(std::min<uint64_t>(remaining_, rest.size()));
      out.append(rest.substr(0, count));
      taken += count;
      remaining_ -= count;
      if (remaining_ == 0) state_ = State::kDataEnd;
      continue;
    }
    // The other states take a line at a time.
    const size_t newline = rest.find('\n');
    const size_t count = newline == std::string_view::npos ? rest.size() : newline + 1;
    partial_.append(rest.substr(0, count));
    taken += count;
    const size_t limit = state_ == State::kTrailers ? limits_.head_bytes : limits_.chunk_line_bytes;
    if (partial_.size() > limit) return fail(Code::kResourceExhausted, "a chunk's line or trailers are too long");
    if (state_ == State::kDataEnd && !std::string_view("\r\n").starts_with(partial_))
      return bad("chunk longer than its size");
    if (newline == std::string_view::npos) continue;
    if (!partial_.ends_with("\r\n")) return bad("line not ended by CRLF");
    if (state_ == State::kTrailers) {
      if (partial_ != "\r\n" && !partial_.ends_with("\r\n\r\n")) continue;
      if (auto parsed = parse_fields(partial_, limits_, trailers_); !parsed) return fail(parsed.error());
      state_ = State::kDone;
    } else if (state_ == State::kDataEnd) {
      state_ = State::kSize;
    } else {
      const std::string_view line = std::string_view(partial_).substr(0, partial_.size() - 2);
      if (line.find('\r') != std::string_view::npos) return bad("bare CR in a chunk's line");
      if (auto parsed = size_line(line); !parsed) return fail(parsed.error());
    }
    partial_.clear();
  }
  return taken;
}

void write_fields(std::string& out, const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (!is_token(name) || !is_field_value(value)) continue;
    out.append(name).append(": ").append(value).append("\r\n");
  }
}

void write_request_head(std::string& out, std::string_view method, std::string_view target, const Headers& headers) {
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
  write_fields(out, headers);
  out.append("\r\n");
}

void write_response_head(std::string& out, int status, const Headers& headers) {
  const std::array<char, 4> digits = {static_cast<char>('0' + status / 100 % 10),
                                      static_cast<char>('0' + status / 10 % 10), static_cast<char>('0' + status % 10), ' '};
  out.append("HTTP/1.1 ").append(digits.data(), digits.size()).append(reason_phrase(status)).append("\r\n");
  write_fields(out, headers);
  out.append("\r\n");
}

void write_chunk_size(std::string& out, size_t size) {
  char text[18];
  const auto end = std::to_chars(text, text + sizeof text, size, 16).ptr;
  out.append(text, end).append("\r\n");
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Request Entity Too Large";
    case 415: return "Unsupported Media Type";
    case 416: return "Requested Range Not Satisfiable";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Entity";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
  }
}

}  // namespace rs::net::http1
