#include <algorithm>
#include <charconv>

#include "api/codec.h"

namespace rs::api {
namespace {

void write_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t done = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, done, i - done);
    done = i + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default: (out += "\\u00").append({kHex[c >> 4], kHex[c & 15]});
    }
  }
  out.append(text, done);
  out += '"';
}

template <class Number>
void write_number(std::string& out, Number number) {
  char buffer[40];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  out.append(buffer, end);
}

void write(std::string& out, const Json& value);

// Members in the order of their names: the same object always gives the same bytes.
void write_members(std::string& out, const JsonObject& members, bool& first, std::initializer_list<std::string_view> without) {
  constexpr size_t kFew = 48;
  const JsonObject::value_type* few[kFew];
  std::vector<const JsonObject::value_type*> many;
  size_t count = 0;
  if (members.size() > kFew) many.resize(members.size());
  const JsonObject::value_type** order = many.empty() ? few : many.data();
  for (const auto& member : members)
    if (std::ranges::find(without, std::string_view(member.key())) == without.end()) order[count++] = &member;
  auto by_name = [](const JsonObject::value_type* a, const JsonObject::value_type* b) {
    return std::string_view(a->key()) < std::string_view(b->key());
  };
  std::sort(order, order + count, by_name);
  for (size_t i = 0; i < count; ++i) {
    if (!std::exchange(first, false)) out += ',';
    write_string(out, order[i]->key());
    out += ':';
    write(out, order[i]->value());
  }
}

void write(std::string& out, const Json& value) {
  switch (value.kind()) {
    case boost::json::kind::null: out += "null"; break;
    case boost::json::kind::bool_: out += value.get_bool() ? "true" : "false"; break;
    case boost::json::kind::int64: write_number(out, value.get_int64()); break;
    case boost::json::kind::uint64: write_number(out, value.get_uint64()); break;
    case boost::json::kind::double_: write_number(out, value.get_double()); break;
    case boost::json::kind::string: write_string(out, value.get_string()); break;
    case boost::json::kind::array: {
      bool first = true;
      out += '[';
      for (const Json& item : value.get_array()) {
        if (!std::exchange(first, false)) out += ',';
        write(out, item);
      }
      out += ']';
      break;
    }
    case boost::json::kind::object: {
      bool first = true;
      out += '{';
      write_members(out, value.get_object(), first, {});
      out += '}';
      break;
    }
  }
}

constexpr std::string_view kMetadata = "\"metadata\":{";

}  // namespace

std::string encode_canonical(const Json& object) {
  std::string out;
  if (!object.is_object()) {
    write(out, object);
    return out;
  }
  out.reserve(1024);
  out += "{\"apiVersion\":";
  write_string(out, str(object, "apiVersion"));
  out += ",\"kind\":";
  write_string(out, str(object, "kind"));
  (out += ',') += kMetadata;
  bool first = true;
  write_members(out, rs::object(object, "metadata"), first, {"resourceVersion"});
  out += '}';
  first = false;
  write_members(out, object.get_object(), first, {"apiVersion", "kind", "metadata"});
  out += '}';
  return out;
}

// The names before it hold no such text: a quote in a string is escaped.
std::string with_resource_version(std::string_view stored, int64_t revision) {
  size_t at = stored.find(kMetadata);
  if (at == std::string_view::npos) return std::string(stored);
  at += kMetadata.size();
  char digits[24];
  auto end = std::to_chars(digits, digits + sizeof digits, revision).ptr;
  std::string out;
  out.reserve(stored.size() + 48);
  out.append(stored, 0, at);
  out += "\"resourceVersion\":\"";
  out.append(digits, end);
  out += stored.substr(at).starts_with('}') ? "\"" : "\",";
  out.append(stored, at);
  return out;
}

}  // namespace rs::api
