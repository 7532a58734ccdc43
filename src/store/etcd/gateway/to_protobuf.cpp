#include <algorithm>
#include <charconv>
#include <limits>

#include "store/etcd/gateway/base64.h"
#include "store/etcd/gateway/json_text.h"
#include "store/etcd/gateway/transcode.h"
#include "store/etcd/wire.h"

namespace rs::store::etcd::gateway {
namespace {

using Kind = JsonCursor::Kind;
using Type = Field::Type;

struct Integer {
  bool negative = false;
  uint64_t magnitude = 0;
};

// A JSON number that is whole, however it is written ("10", "1e1", "10.0"); nothing: it is not, or
// has over 64 bits.
std::optional<Integer> whole_number(std::string_view text) {
  Integer out;
  out.negative = text.starts_with('-');
  if (out.negative) text.remove_prefix(1);
  const size_t e = text.find_first_of("eE");
  std::string_view mantissa = text.substr(0, e);
  const size_t dot = std::min(mantissa.find('.'), mantissa.size());
  std::string digits(mantissa.substr(0, dot));
  if (dot < mantissa.size()) digits += mantissa.substr(dot + 1);
  const size_t leading = std::min(digits.find_first_not_of('0'), digits.size());
  digits.erase(0, leading);
  if (digits.empty()) return out;
  int64_t exponent = 0;
  if (e != std::string_view::npos) {
    std::string_view written = text.substr(e + 1);
    if (written.starts_with('+')) written.remove_prefix(1);
    auto [end, error] = std::from_chars(written.data(), written.data() + written.size(), exponent);
    if (error != std::errc() || exponent > 1'000'000 || exponent < -1'000'000) return std::nullopt;
  }
  const int64_t point = int64_t(dot) - int64_t(leading) + exponent;
  digits.erase(digits.find_last_not_of('0') + 1);
  if (point > 20 || int64_t(digits.size()) > point) return std::nullopt;
  digits.append(size_t(point) - digits.size(), '0');
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.magnitude);
  if (error != std::errc()) return std::nullopt;
  return out;
}

std::optional<uint64_t> in_range(const Integer& value, Type type) {
  constexpr uint64_t kInt64Max = uint64_t(std::numeric_limits<int64_t>::max());
  constexpr uint64_t kInt32Max = uint64_t(std::numeric_limits<int32_t>::max());
  const uint64_t most = type == Type::kUint64   ? std::numeric_limits<uint64_t>::max()
                        : type == Type::kUint32 ? std::numeric_limits<uint32_t>::max()
                        : type == Type::kEnum   ? kInt32Max
                                                : kInt64Max;
  if (!value.negative)
    return value.magnitude <= most ? std::optional(value.magnitude) : std::nullopt;
  if (value.magnitude == 0) return 0;
  if (type == Type::kUint64 || type == Type::kUint32 || value.magnitude > most + 1)
    return std::nullopt;
  return ~value.magnitude + 1;
}

std::string_view name_of(Type type) {
  switch (type) {
    case Type::kBool:
      return "bool";
    case Type::kInt64:
      return "int64";
    case Type::kUint64:
      return "uint64";
    case Type::kUint32:
      return "uint32";
    case Type::kString:
      return "string";
    case Type::kBytes:
      return "bytes";
    case Type::kEnum:
      return "enum";
    case Type::kMessage:
      return "message";
  }
  return "";
}

// The errors are protojson's (google.golang.org/protobuf encoding/protojson/decode.go).
class Decoder {
 public:
  explicit Decoder(std::string_view value) : cursor_(value) {}

  Result<void> message(const MessageType& type, Writer& out) {
    if (cursor_.kind() != Kind::kObject) return unexpected_token();
    cursor_.enter();
    uint64_t seen = 0, oneofs = 0;
    while (cursor_.more()) {
      const size_t at = cursor_.position();
      std::string_view literal = cursor_.raw();
      auto name = json_string_value(literal);
      if (!name) return syntax_error(at, name.error().message);
      const Field* field = type.by_name(*name);
      if (field == nullptr || cursor_.kind() == Kind::kNull) {
        (void)cursor_.raw();
        continue;
      }
      const uint64_t bit = 1ull << (field - type.fields.data());
      if ((seen & bit) != 0) return error(at, fmt::format("duplicate field {}", literal));
      seen |= bit;
      if (field->oneof >= 0) {
        const uint64_t oneof = 1ull << field->oneof;
        if ((oneofs & oneof) != 0)
          return error(at, fmt::format("error parsing {}, oneof {}.{} is already set", literal,
                                       type.name, type.oneofs[size_t(field->oneof)]));
        oneofs |= oneof;
      }
      auto done = field->repeated ? list(*field, out) : value(*field, out);
      if (!done) return done;
    }
    return {};
  }

 private:
  Result<void> list(const Field& field, Writer& out) {
    if (cursor_.kind() != Kind::kArray) return unexpected_token();
    cursor_.enter();
    while (cursor_.more()) {
      if (auto done = value(field, out); !done) return done;
    }
    return {};
  }

  Result<void> value(const Field& field, Writer& out) {
    const Kind kind = cursor_.kind();
    if (field.type == Type::kMessage) {
      Writer inner;
      if (auto done = message(*field.message, inner); !done) return done;
      out.element(field.number, inner.take());
      return {};
    }
    const size_t at = cursor_.position();
    if (kind == Kind::kObject || kind == Kind::kArray || kind == Kind::kNull)
      return unexpected_token();
    std::string_view literal = cursor_.raw();
    if (kind == Kind::kString) {
      auto text = json_string_value(literal);
      if (!text) return syntax_error(at, text.error().message);
      return from_string(field, *text, at, literal, out);
    }
    if (kind == Kind::kNumber) {
      if (field.type == Type::kBool || field.type == Type::kString || field.type == Type::kBytes)
        return invalid(field, at, literal);
      return from_number(field, literal, at, literal, out);
    }
    if (field.type != Type::kBool) return invalid(field, at, literal);
    return scalar(field, kind == Kind::kTrue ? 1 : 0, out);
  }

  Result<void> from_string(const Field& field, std::string_view text, size_t at,
                           std::string_view literal, Writer& out) {
    switch (field.type) {
      case Type::kString:
        return put_bytes(field, text, out);
      case Type::kBytes: {
        auto bytes = decode_base64(text);
        return bytes ? put_bytes(field, *bytes, out) : invalid(field, at, literal);
      }
      case Type::kEnum:
        for (const auto& [name, number] : field.enumeration->values) {
          if (name == text) return scalar(field, uint64_t(int64_t(number)), out);
        }
        return invalid(field, at, literal);
      case Type::kBool:
      case Type::kMessage:
        return invalid(field, at, literal);
      default:
        break;
    }
    auto span = find_json_value(text);
    const bool number = span && span->begin == 0 && span->end == text.size() && !text.empty() &&
                        (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
    return number ? from_number(field, text, at, literal, out) : invalid(field, at, literal);
  }

  Result<void> from_number(const Field& field, std::string_view text, size_t at,
                           std::string_view literal, Writer& out) {
    auto whole = whole_number(text);
    auto number = whole ? in_range(*whole, field.type) : std::nullopt;
    return number ? scalar(field, *number, out) : invalid(field, at, literal);
  }

  // Elements of lists and members of a oneof are there even when they are zero.
  static bool is_written(const Field& field, bool zero) {
    return !zero || field.repeated || field.oneof >= 0;
  }
  static Result<void> scalar(const Field& field, uint64_t value, Writer& out) {
    if (!is_written(field, value == 0)) return {};
    out.tag(field.number, 0);
    out.raw_varint(value);
    return {};
  }
  static Result<void> put_bytes(const Field& field, std::string_view bytes, Writer& out) {
    if (is_written(field, bytes.empty())) out.element(field.number, bytes);
    return {};
  }

  std::unexpected<Error> error(size_t at, std::string_view what) const {
    return fail(Code::kBadRequest, "proto: (line {}): {}", cursor_.place(at), what);
  }
  std::unexpected<Error> syntax_error(size_t at, std::string_view what) const {
    return fail(Code::kBadRequest, "proto: syntax error (line {}): {}", cursor_.place(at), what);
  }
  std::unexpected<Error> invalid(const Field& field, size_t at, std::string_view literal) const {
    return error(at, fmt::format("invalid value for {} field {}: {}", name_of(field.type),
                                 field.json_name, shortened(literal)));
  }
  std::unexpected<Error> unexpected_token() {
    const Kind kind = cursor_.kind();
    const size_t at = cursor_.position();
    const std::string_view token = kind == Kind::kObject  ? "{"
                                   : kind == Kind::kArray ? "["
                                                          : cursor_.raw();
    return syntax_error(at, fmt::format("unexpected token {}", shortened(token)));
  }
  static std::string_view shortened(std::string_view literal) { return literal.substr(0, 200); }

  JsonCursor cursor_;
};

}  // namespace

Result<std::string> to_protobuf(const MessageType& type, std::string_view json) {
  auto span = find_json_value(json);
  if (!span) return fail(span.error());
  if (span->begin == span->end) return std::string();
  Writer out;
  auto done = Decoder(json.substr(span->begin, span->end - span->begin)).message(type, out);
  if (!done) return fail(done.error());
  return out.take();
}

}  // namespace rs::store::etcd::gateway
