#include "base/json.h"

#include <limits>

namespace rs {

Result<Json> parse_json(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.bytes)
    return fail(Code::kRequestEntityTooLarge, "JSON text of {} bytes: the limit is {}", text.size(), limits.bytes);
  boost::json::parse_options options;
  options.max_depth = limits.depth;
  try {
    boost::system::error_code error;
    boost::json::stream_parser parser({}, options);
    size_t used = parser.write_some(text.data(), text.size(), error);
    if (!error && used < text.size() && text.find_first_not_of(" \t\r\n", used) != std::string_view::npos)
      return fail(Code::kBadRequest, "invalid character after the JSON value at byte {}", used);
    if (!error) parser.finish(error);
    if (error) return fail(Code::kBadRequest, "invalid JSON at byte {}: {}", used, error.message());
    return parser.release();
  } catch (const std::exception& exception) {
    return fail(Code::kBadRequest, "invalid JSON: {}", exception.what());
  }
}

std::string to_text(const Json& value) { return boost::json::serialize(value); }

namespace {
void pretty(std::string& out, const Json& value, size_t indent) {
  auto line = [&](size_t depth) { (out += '\n').append(depth * 2, ' '); };
  if (value.is_object() && !value.get_object().empty()) {
    out += '{';
    bool first = true;
    for (const auto& [name, member] : value.get_object()) {
      if (!std::exchange(first, false)) out += ',';
      line(indent + 1);
      (out += boost::json::serialize(name)) += ": ";
      pretty(out, member, indent + 1);
    }
    line(indent);
    out += '}';
  } else if (value.is_array() && !value.get_array().empty()) {
    out += '[';
    bool first = true;
    for (const auto& item : value.get_array()) {
      if (!std::exchange(first, false)) out += ',';
      line(indent + 1);
      pretty(out, item, indent + 1);
    }
    line(indent);
    out += ']';
  } else {
    out += boost::json::serialize(value);
  }
}
}  // namespace

std::string to_pretty_text(const Json& value) {
  std::string out;
  pretty(out, value, 0);
  return out;
}

const JsonArray& empty_array() {
  static const JsonArray kEmpty;
  return kEmpty;
}
const JsonObject& empty_object() {
  static const JsonObject kEmpty;
  return kEmpty;
}

int64_t integer_of(const Json* value, int64_t otherwise) {
  if (value == nullptr) return otherwise;
  if (value->is_int64()) return value->get_int64();
  if (value->is_uint64())
    return value->get_uint64() <= uint64_t(std::numeric_limits<int64_t>::max()) ? int64_t(value->get_uint64()) : otherwise;
  if (value->is_double()) {
    double number = value->get_double();
    if (number >= -9.2e18 && number <= 9.2e18) return static_cast<int64_t>(number);
  }
  return otherwise;
}

namespace detail {
Json& ensure_member(Json& value, std::string_view name) {
  if (!value.is_object()) value.emplace_object();
  return value.get_object()[name];
}
}  // namespace detail
}  // namespace rs
