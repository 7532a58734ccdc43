#include <iterator>
#include <vector>

#include "store/etcd/gateway/base64.h"
#include "store/etcd/gateway/json_text.h"
#include "store/etcd/gateway/transcode.h"
#include "store/etcd/wire.h"

namespace rs::store::etcd::gateway {
namespace {

using Type = Field::Type;
constexpr int kMessageDepthMax = 300;

struct WireValue {
  uint32_t field = 0;
  bool is_text = false;
  uint64_t number = 0;
  std::string_view text;
};

bool is_text_type(Type type) {
  return type == Type::kString || type == Type::kBytes || type == Type::kMessage;
}

// Numbers of a repeated field may come packed in one text.
bool unpack(std::string_view packed, std::vector<uint64_t>& out) {
  while (!packed.empty()) {
    uint64_t value = 0;
    bool complete = false;
    for (int shift = 0; shift < 70 && !packed.empty() && !complete; shift += 7) {
      const auto byte = uint8_t(packed.front());
      packed.remove_prefix(1);
      if (shift < 64) value |= uint64_t(byte & 0x7f) << shift;
      complete = byte < 0x80;
    }
    if (!complete) return false;
    out.push_back(value);
  }
  return true;
}

void append_number(std::string& out, const Field& field, uint64_t value) {
  auto sink = std::back_inserter(out);
  switch (field.type) {
    case Type::kBool:
      out += value != 0 ? "true" : "false";
      return;
    case Type::kInt64:
      fmt::format_to(sink, "\"{}\"", int64_t(value));
      return;
    case Type::kUint64:
      fmt::format_to(sink, "\"{}\"", value);
      return;
    case Type::kUint32:
      fmt::format_to(sink, "{}", uint32_t(value));
      return;
    default:
      break;
  }
  const auto number = int32_t(uint32_t(value));
  for (const auto& [name, of_name] : field.enumeration->values) {
    if (of_name == number) {
      fmt::format_to(sink, "\"{}\"", name);
      return;
    }
  }
  fmt::format_to(sink, "{}", number);
}

bool append_message(std::string& out, const MessageType& type, std::string_view message, int depth);

bool append_text(std::string& out, const Field& field, std::string_view text, int depth) {
  if (field.type == Type::kMessage) return append_message(out, *field.message, text, depth + 1);
  if (field.type == Type::kString) {
    append_json_string(out, text);
    return true;
  }
  out += '"';
  append_base64(out, text);
  out += '"';
  return true;
}

void append_name(std::string& out, const Field& field, bool& first) {
  out += first ? "\"" : ",\"";
  first = false;
  (out += field.name) += "\":";
}

bool append_list(std::string& out, const Field& field, const std::vector<WireValue>& values,
                 bool& first, int depth) {
  bool any = false;
  auto next = [&] {
    if (!any) append_name(out, field, first);
    out += any ? ',' : '[';
    any = true;
  };
  std::vector<uint64_t> numbers;
  for (const WireValue& value : values) {
    if (value.field != field.number) continue;
    if (is_text_type(field.type)) {
      if (!value.is_text) return false;
      next();
      if (!append_text(out, field, value.text, depth)) return false;
      continue;
    }
    numbers.assign(value.is_text ? 0 : 1, value.number);
    if (value.is_text && !unpack(value.text, numbers)) return false;
    for (uint64_t number : numbers) {
      next();
      append_number(out, field, number);
    }
  }
  if (any) out += ']';
  return true;
}

bool append_message(std::string& out, const MessageType& type, std::string_view message,
                    int depth) {
  if (depth > kMessageDepthMax) return false;
  std::vector<WireValue> values;
  Reader in(message);
  while (in.next()) {
    WireValue value{.field = in.field(), .is_text = in.is_text()};
    const Field* known = nullptr;
    for (const Field& field : type.fields) {
      if (field.number == value.field) known = &field;
    }
    if (known == nullptr) continue;
    if (value.is_text)
      value.text = in.text();
    else
      value.number = in.number();
    values.push_back(value);
  }
  if (!in.ok()) return false;
  // Of the members of a oneof the last one sent counts.
  std::vector<const Field*> chosen(type.oneofs.size(), nullptr);
  for (const WireValue& value : values) {
    for (const Field& field : type.fields) {
      if (field.oneof >= 0 && field.number == value.field) chosen[size_t(field.oneof)] = &field;
    }
  }
  bool first = true;
  out += '{';
  for (const Field& field : type.fields) {
    if (field.repeated) {
      if (!append_list(out, field, values, first, depth)) return false;
      continue;
    }
    const WireValue* last = nullptr;
    for (const WireValue& value : values) {
      if (value.field == field.number) last = &value;
    }
    if (last == nullptr || (field.oneof >= 0 && chosen[size_t(field.oneof)] != &field)) continue;
    if (last->is_text != is_text_type(field.type)) return false;
    const bool zero =
        last->is_text ? last->text.empty() && field.type != Type::kMessage : last->number == 0;
    if (zero && field.oneof < 0) continue;
    append_name(out, field, first);
    if (!last->is_text)
      append_number(out, field, last->number);
    else if (!append_text(out, field, last->text, depth))
      return false;
  }
  out += '}';
  return true;
}

}  // namespace

bool append_json(std::string& out, const MessageType& type, std::string_view message) {
  return append_message(out, type, message, 0);
}

}  // namespace rs::store::etcd::gateway
