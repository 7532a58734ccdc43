#include "api/codec/json_reader.h"

#include <charconv>

namespace rs::api {
namespace {

// Length of the UTF-8 sequence at the start of text, 0 when it is none (overlong, surrogate, cut …).
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  if (first < 0x80) return 1;
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) || (first == 0xf0 && byte(1) < 0x90) ||
      (first == 0xf4 && byte(1) > 0x8f))
    return 0;
  return length;
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += char(0xc0 | (code >> 6));
    out += char(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += char(0xe0 | (code >> 12));
    out += char(0x80 | ((code >> 6) & 0x3f));
    out += char(0x80 | (code & 0x3f));
  } else {
    out += char(0xf0 | (code >> 18));
    out += char(0x80 | ((code >> 12) & 0x3f));
    out += char(0x80 | ((code >> 6) & 0x3f));
    out += char(0x80 | (code & 0x3f));
  }
}

// As Go quotes a byte in its error messages.
std::string quoted(char c) {
  if (c == '\'') return R"('\'')";
  if (c == '"') return R"('"')";
  if (c == '\n') return R"('\n')";
  if (c == '\r') return R"('\r')";
  if (c == '\t') return R"('\t')";
  auto byte = static_cast<unsigned char>(c);
  if (byte < 0x20 || byte == 0x7f) return fmt::format("'\\x{:02x}'", byte);
  std::string out = "'";
  append_utf8(out, byte);  // Go takes the byte for a Latin-1 rune here
  return out + "'";
}

class Reader {
 public:
  Reader(std::string_view text, std::vector<std::string>* duplicates, JsonLimits limits)
      : text_(text), duplicates_(duplicates), depth_max_(limits.depth) {}

  Result<Json> read() {
    Json out;
    skip_blanks();
    if (!value(out)) return fail(Code::kBadRequest, "{}", error_);
    skip_blanks();
    if (at_ < text_.size()) {
      refuse("after top-level value");
      return fail(Code::kBadRequest, "{}", error_);
    }
    return out;
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  bool refuse(std::string_view where) {
    error_ = at_ < text_.size() ? fmt::format("invalid character {} {}", quoted(text_[at_]), where)
                                : "unexpected end of JSON input";
    return false;
  }
  bool too_much(std::string_view what) {
    error_ = what;
    return false;
  }

  bool value(Json& out) {
    if (++count_ > kMaxValues) return too_much("too many values");
    if (at_ >= text_.size()) return refuse("");
    switch (text_[at_]) {
      case '{': return object(out);
      case '[': return array(out);
      case '"': {
        boost::json::string& target = out.emplace_string();
        std::string_view plain;
        if (!string(plain)) return false;
        target.assign(plain);
        return true;
      }
      case 't': return literal("true", out, true);
      case 'f': return literal("false", out, false);
      case 'n': return literal("null", out, nullptr);
      default: return number(out);
    }
  }

  bool literal(std::string_view word, Json& out, Json meaning) {
    for (size_t i = 0; i < word.size(); ++i, ++at_)
      if (at_ >= text_.size() || text_[at_] != word[i])
        return refuse(fmt::format("in literal {} (expecting '{}')", word, word[i]));
    out = std::move(meaning);
    return true;
  }

  bool object(Json& out) {
    JsonObject& members = out.emplace_object();
    if (++depth_ > depth_max_) return too_much("exceeded max depth");
    ++at_;
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '}') return end();
    while (true) {
      if (at_ >= text_.size() || text_[at_] != '"') return refuse("looking for beginning of object key string");
      std::string_view key;
      if (!string(key)) return false;
      auto [member, added] = members.emplace(key, nullptr);
      if (duplicates_ != nullptr) path_.push_back({member->key(), 0});
      if (!added) duplicate();
      skip_blanks();
      if (at_ >= text_.size() || text_[at_] != ':') return refuse("after object key");
      ++at_;
      skip_blanks();
      if (!value(member->value())) return false;
      if (duplicates_ != nullptr) path_.pop_back();
      skip_blanks();
      if (at_ < text_.size() && text_[at_] == '}') return end();
      if (at_ >= text_.size() || text_[at_] != ',') return refuse("after object key:value pair");
      ++at_;
      skip_blanks();
    }
  }

  bool array(Json& out) {
    JsonArray& items = out.emplace_array();
    if (++depth_ > depth_max_) return too_much("exceeded max depth");
    ++at_;
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == ']') return end();
    while (true) {
      if (duplicates_ != nullptr) path_.push_back({{}, items.size()});
      if (!value(items.emplace_back(nullptr))) return false;
      if (duplicates_ != nullptr) path_.pop_back();
      skip_blanks();
      if (at_ < text_.size() && text_[at_] == ']') return end();
      if (at_ >= text_.size() || text_[at_] != ',') return refuse("after array element");
      ++at_;
      skip_blanks();
    }
  }

  bool end() {
    ++at_;
    --depth_;
    return true;
  }

  void duplicate() {
    if (duplicates_ == nullptr || duplicates_->size() >= 100) return;
    std::string path;
    for (const Step& step : path_) {
      if (step.name.data() == nullptr) path += fmt::format("[{}]", step.index);
      else (path += path.empty() ? "" : ".") += step.name;
    }
    duplicates_->push_back(std::move(path));
  }

  // The string at the cursor; out points into the text or, when it has escapes, into scratch_.
  bool string(std::string_view& out) {
    size_t start = ++at_;
    bool plain = true;
    for (; at_ < text_.size(); ++at_) {
      auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') break;
      if (c < 0x20) return refuse("in string literal");
      if (c >= 0x80) plain = false;
      if (c == '\\') return escaped(start, out);
    }
    if (at_ >= text_.size()) return refuse("");
    out = text_.substr(start, at_ - start);
    ++at_;
    if (plain || is_valid_utf8(out)) return true;
    scratch_ = valid_utf8(out);
    out = scratch_;
    return true;
  }

  bool escaped(size_t start, std::string_view& out) {
    scratch_.assign(text_.substr(start, at_ - start));
    while (true) {
      if (at_ >= text_.size()) return refuse("");
      char c = text_[at_];
      if (c == '"') break;
      if (static_cast<unsigned char>(c) < 0x20) return refuse("in string literal");
      ++at_;
      if (c != '\\') {
        scratch_ += c;
        continue;
      }
      if (at_ >= text_.size()) return refuse("");
      static constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
      if (size_t which = kNames.find(text_[at_]); which != std::string_view::npos) {
        scratch_ += kMeanings[which];
        ++at_;
      } else if (text_[at_] == 'u') {
        ++at_;
        if (!unicode()) return false;
      } else {
        return refuse("in string escape code");
      }
    }
    ++at_;
    if (!is_valid_utf8(scratch_)) scratch_ = valid_utf8(scratch_);
    out = scratch_;
    return true;
  }

  bool hex(uint32_t& out) {
    out = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ >= text_.size()) return refuse("");
      char c = text_[at_];
      uint32_t digit = c >= '0' && c <= '9'   ? uint32_t(c - '0')
                       : c >= 'a' && c <= 'f' ? uint32_t(c - 'a' + 10)
                       : c >= 'A' && c <= 'F' ? uint32_t(c - 'A' + 10)
                                              : 16;
      if (digit == 16) return refuse("in \\u hexadecimal character escape");
      out = out * 16 + digit;
    }
    return true;
  }

  bool unicode() {
    uint32_t code = 0;
    if (!hex(code)) return false;
    if (code >= 0xd800 && code < 0xdc00 && text_.substr(at_).starts_with("\\u")) {
      size_t before = at_;
      at_ += 2;
      uint32_t low = 0;
      if (!hex(low)) return false;
      if (low >= 0xdc00 && low < 0xe000) code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      else at_ = before;
    }
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
    append_utf8(scratch_, code);
    return true;
  }

  bool is_digit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }

  bool number(Json& out) {
    size_t start = at_;
    bool whole = true;
    if (text_[at_] == '-') {
      ++at_;
      if (!is_digit()) return refuse("in numeric literal");
    } else if (!is_digit()) {
      return refuse("looking for beginning of value");
    }
    if (text_[at_] == '0') ++at_;
    else while (is_digit()) ++at_;
    if (at_ < text_.size() && text_[at_] == '.') {
      whole = false;
      ++at_;
      if (!is_digit()) return refuse("after decimal point in numeric literal");
      while (is_digit()) ++at_;
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      whole = false;
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!is_digit()) return refuse("in exponent of numeric literal");
      while (is_digit()) ++at_;
    }
    const char *first = text_.data() + start, *last = text_.data() + at_;
    if (int64_t integer = 0; whole && std::from_chars(first, last, integer).ec == std::errc()) {
      out = integer;
      return true;
    }
    double real = 0;
    if (std::from_chars(first, last, real).ec != std::errc())
      return too_much(fmt::format("json: cannot unmarshal number {} into Go value of type float64",
                                  text_.substr(start, std::min<size_t>(at_ - start, 64))));
    out = real;
    return true;
  }

  struct Step {
    std::string_view name;
    size_t index;
  };
  std::string_view text_;
  std::vector<std::string>* duplicates_;
  size_t depth_max_;
  size_t at_ = 0, depth_ = 0, count_ = 0;
  std::string scratch_, error_;
  std::vector<Step> path_;
};

}  // namespace

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    size_t length = utf8_length(text);
    if (length == 0) out += "\xef\xbf\xbd";
    else out += text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

Result<Json> read_json(std::string_view text, std::vector<std::string>* duplicates, JsonLimits limits) {
  if (text.size() > limits.bytes)
    return fail(Code::kRequestEntityTooLarge, "Request entity too large: limit is {}", limits.bytes);
  return Reader(text, duplicates, limits).read();
}

}  // namespace rs::api
