#include "store/etcd/gateway/json_text.h"

#include <algorithm>

namespace rs::store::etcd::gateway {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string& out, uint32_t rune) {
  if (rune < 0x80) {
    out += char(rune);
  } else if (rune < 0x800) {
    out += char(0xc0 | rune >> 6);
    out += char(0x80 | (rune & 0x3f));
  } else if (rune < 0x10000) {
    out += char(0xe0 | rune >> 12);
    out += char(0x80 | (rune >> 6 & 0x3f));
    out += char(0x80 | (rune & 0x3f));
  } else {
    out += char(0xf0 | rune >> 18);
    out += char(0x80 | (rune >> 12 & 0x3f));
    out += char(0x80 | (rune >> 6 & 0x3f));
    out += char(0x80 | (rune & 0x3f));
  }
}

// Bytes of the UTF-8 sequence that text begins with; 0: it is not one (RFC 3629).
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? uint8_t(text[i]) : uint8_t(0); };
  auto follows = [&](size_t i, uint8_t low = 0x80, uint8_t high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const uint8_t low = first == 0xe0 ? 0xa0 : 0x80, high = first == 0xed ? 0x9f : 0xbf;
    return follows(1, low, high) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const uint8_t low = first == 0xf0 ? 0x90 : 0x80, high = first == 0xf4 ? 0x8f : 0xbf;
    return follows(1, low, high) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

// encoding/json's quoteChar.
std::string quoted(char c) {
  if (c == '\'') return R"('\'')";
  if (c == '"') return R"('"')";
  switch (c) {
    case '\a':
      return R"('\a')";
    case '\b':
      return R"('\b')";
    case '\f':
      return R"('\f')";
    case '\n':
      return R"('\n')";
    case '\r':
      return R"('\r')";
    case '\t':
      return R"('\t')";
    case '\v':
      return R"('\v')";
    case '\\':
      return R"('\\')";
    default:
      break;
  }
  const auto byte = uint8_t(c);
  if (byte < 0x20 || byte == 0x7f) return fmt::format("'\\x{:02x}'", byte);
  if (byte >= 0x80 && byte <= 0xa0) return fmt::format("'\\u{:04x}'", byte);
  if (byte == 0xad) return "'\\u00ad'";
  std::string out = "'";
  append_utf8(out, byte);
  return out + "'";
}

// Finds the end of a value without recursion: only the kinds of the open arrays and objects are
// kept.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Result<JsonSpan> scan() {
    skip_space();
    JsonSpan span{position_, position_};
    if (at_end()) return span;
    if (auto done = values(); !done) return fail(done.error());
    span.end = position_;
    return span;
  }

 private:
  bool at_end() const { return position_ >= text_.size(); }
  char peek() const { return text_[position_]; }
  void skip_space() {
    while (!at_end() && is_space(peek())) ++position_;
  }
  static std::unexpected<Error> cut_short() { return fail(Code::kBadRequest, "unexpected EOF"); }
  std::unexpected<Error> wrong(std::string_view where) const {
    return fail(Code::kBadRequest, "invalid character {} {}", quoted(peek()), where);
  }

  Result<void> values() {
    while (true) {
      skip_space();
      if (at_end()) return cut_short();
      bool opened = false;
      if (peek() == '{' || peek() == '[') {
        if (open_.size() >= kJsonDepthMax) return fail(Code::kBadRequest, "exceeded max depth");
        open_ += peek();
        ++position_;
        skip_space();
        if (at_end()) return cut_short();
        opened = peek() != (open_.back() == '{' ? '}' : ']');
        if (opened && open_.back() == '{') {
          if (auto key = member_name(); !key) return key;
        }
      } else if (auto done = scalar(); !done) {
        return done;
      }
      if (opened) continue;
      auto again = after_value();
      if (!again) return fail(again.error());
      if (!*again) return {};
    }
  }

  // After a value: true when another one has to come.
  Result<bool> after_value() {
    while (!open_.empty()) {
      skip_space();
      if (at_end()) return cut_short();
      const bool object = open_.back() == '{';
      if (peek() == ',') {
        ++position_;
        if (!object) return true;
        skip_space();
        if (at_end()) return cut_short();
        if (auto key = member_name(); !key) return fail(key.error());
        return true;
      }
      if (peek() != (object ? '}' : ']'))
        return wrong(object ? "after object key:value pair" : "after array element");
      open_.pop_back();
      ++position_;
    }
    return false;
  }

  Result<void> member_name() {
    if (peek() != '"') return wrong("looking for beginning of object key string");
    if (auto name = string(); !name) return name;
    skip_space();
    if (at_end()) return cut_short();
    if (peek() != ':') return wrong("after object key");
    ++position_;
    return {};
  }

  Result<void> scalar() {
    const char c = peek();
    if (c == '"') return string();
    if (c == '-' || is_digit(c)) return number();
    if (c == 't') return literal("true");
    if (c == 'f') return literal("false");
    if (c == 'n') return literal("null");
    return wrong("looking for beginning of value");
  }

  Result<void> string() {
    for (++position_; !at_end(); ++position_) {
      const char c = peek();
      if (c == '"') {
        ++position_;
        return {};
      }
      if (uint8_t(c) < 0x20) return wrong("in string literal");
      if (c != '\\') continue;
      if (++position_; at_end()) return cut_short();
      if (peek() == 'u') {
        for (int i = 0; i < 4; ++i) {
          if (++position_; at_end()) return cut_short();
          if (hex_digit(peek()) < 0) return wrong("in \\u hexadecimal character escape");
        }
      } else if (std::string_view("\"\\/bfnrt").find(peek()) == std::string_view::npos) {
        return wrong("in string escape code");
      }
    }
    return cut_short();
  }

  void digits() {
    while (!at_end() && is_digit(peek())) ++position_;
  }
  Result<void> number() {
    if (peek() == '-') {
      if (++position_; at_end()) return cut_short();
      if (!is_digit(peek())) return wrong("in numeric literal");
    }
    if (peek() == '0')
      ++position_;
    else
      digits();
    if (!at_end() && peek() == '.') {
      if (++position_; at_end()) return cut_short();
      if (!is_digit(peek())) return wrong("after decimal point in numeric literal");
      digits();
    }
    if (!at_end() && (peek() == 'e' || peek() == 'E')) {
      if (++position_; at_end()) return cut_short();
      if (peek() == '+' || peek() == '-') ++position_;
      if (at_end()) return cut_short();
      if (!is_digit(peek())) return wrong("in exponent of numeric literal");
      digits();
    }
    return {};
  }

  Result<void> literal(std::string_view word) {
    for (char expected : word) {
      if (at_end()) return cut_short();
      if (peek() != expected)
        return wrong(fmt::format("in literal {} (expecting '{}')", word, expected));
      ++position_;
    }
    return {};
  }

  std::string_view text_;
  size_t position_ = 0;
  std::string open_;
};

}  // namespace

Result<JsonSpan> find_json_value(std::string_view text) {
  return Scanner(text).scan();
}

void JsonCursor::skip_space() {
  while (position_ < text_.size() &&
         (is_space(text_[position_]) || text_[position_] == ',' || text_[position_] == ':'))
    ++position_;
}

JsonCursor::Kind JsonCursor::kind() {
  skip_space();
  switch (position_ < text_.size() ? text_[position_] : 'n') {
    case '{':
      return Kind::kObject;
    case '[':
      return Kind::kArray;
    case '"':
      return Kind::kString;
    case 't':
      return Kind::kTrue;
    case 'f':
      return Kind::kFalse;
    case 'n':
      return Kind::kNull;
    default:
      return Kind::kNumber;
  }
}

std::string_view JsonCursor::raw() {
  skip_space();
  auto span = find_json_value(text_.substr(position_));
  if (!span) {
    position_ = text_.size();
    return {};
  }
  std::string_view value = text_.substr(position_, span->end);
  position_ += span->end;
  return value;
}

bool JsonCursor::more() {
  skip_space();
  if (position_ >= text_.size()) return false;
  if (text_[position_] != '}' && text_[position_] != ']') return true;
  ++position_;
  return false;
}

std::string JsonCursor::place(size_t position) const {
  std::string_view before = text_.substr(0, position);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n');
  return fmt::format("{}:{}", lines + 1,
                     line_start == std::string_view::npos ? position + 1 : position - line_start);
}

Result<std::string> json_string_value(std::string_view literal) {
  std::string out;
  literal = literal.substr(1, literal.size() - 2);
  out.reserve(literal.size());
  auto unit = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4; ++i) value = value << 4 | uint32_t(hex_digit(literal[i]));
    return value;
  };
  for (size_t i = 0; i < literal.size();) {
    if (literal[i] != '\\') {
      const size_t length = utf8_length(literal.substr(i));
      if (length == 0) return fail(Code::kBadRequest, "invalid UTF-8 in string");
      out.append(literal, i, length);
      i += length;
      continue;
    }
    const char escape = literal[i + 1];
    i += 2;
    switch (escape) {
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        uint32_t rune = unit(i);
        i += 4;
        if (rune >= 0xd800 && rune < 0xe000) {
          const bool pair = rune < 0xdc00 && literal.substr(i).starts_with("\\u");
          const uint32_t low = pair ? unit(i + 2) : 0;
          if (low < 0xdc00 || low > 0xdfff)
            return fail(Code::kBadRequest, "invalid escape code \"\\\\u{:04x}\" in string", rune);
          rune = 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00);
          i += 6;
        }
        append_utf8(out, rune);
        break;
      }
      default:
        out += escape;
    }
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text.substr(i));
    const auto c = uint8_t(text[i]);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      ++i;
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (c < 0x20)
          out += fmt::format("\\u{:04x}", c);
        else
          out.append(text, i, length);
    }
    i += length;
  }
  out += '"';
}

}  // namespace rs::store::etcd::gateway
