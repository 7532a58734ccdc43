#include <algorithm>
#include <bit>

#include "api/codec.h"
#include "api/codec/protobuf_reader.h"
#include "base/clock.h"

namespace rs::api {
namespace {

void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += char(value | 0x80);
    value >>= 7;
  }
  out += char(value);
}
void put_number(std::string& out, int field, uint64_t value) {
  put_varint(out, uint64_t(field) << 3);
  put_varint(out, value);
}
void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_varint(out, uint64_t(field) << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string_view text_of(const Json& value) {
  return value.is_string() ? std::string_view(value.get_string()) : std::string_view();
}

void put_message(std::string& out, const JsonObject& members, const TypeInfo& type);

std::string time_message(const Json& value, bool micro) {
  std::string out;
  WallTime time;
  if (!value.is_string() || !parse_rfc3339(value.get_string(), time)) return out;
  auto seconds = std::chrono::floor<std::chrono::seconds>(time.since_unix);
  auto micros = std::chrono::floor<std::chrono::microseconds>(time.since_unix - seconds);
  put_number(out, 1, uint64_t(seconds.count()));
  put_number(out, 2, micro ? uint64_t(micros.count()) * 1000 : 0);
  return out;
}

std::string schema_or_message(const Json& value, const FieldInfo& info) {
  std::string out, schema;
  if (value.is_object()) put_message(schema, value.get_object(), *info.type);
  if (info.value == ValueType::kSchemaOrBool) {
    put_number(out, 1, value.is_object() || (value.is_bool() && value.get_bool()));
    if (value.is_object()) put_bytes(out, 2, schema);
    return out;
  }
  if (value.is_object()) put_bytes(out, 1, schema);
  if (!value.is_array()) return out;
  for (const Json& item : value.get_array()) {
    std::string part;
    if (item.is_object()) put_message(part, item.get_object(), *info.type);
    put_bytes(out, 2, item.is_string() ? text_of(item) : part);
  }
  return out;
}

void put_value(std::string& out, int number, const Json& value, const FieldInfo& info) {
  std::string part;
  switch (info.value) {
    case ValueType::kString: return put_bytes(out, number, text_of(value));
    case ValueType::kBool: return put_number(out, number, value.is_bool() && value.get_bool());
    case ValueType::kInt32:
    case ValueType::kInt64: return put_number(out, number, uint64_t(integer_of(&value, 0)));
    case ValueType::kDouble: {
      double real = value.is_double() ? value.get_double() : double(integer_of(&value, 0));
      auto bits = std::bit_cast<uint64_t>(real);
      put_varint(out, uint64_t(number) << 3 | 1);
      for (int i = 0; i < 8; ++i) out += char(bits >> (8 * i));
      return;
    }
    case ValueType::kBytes: return put_bytes(out, number, from_base64(text_of(value)));
    case ValueType::kMessage:
      put_message(part, value.is_object() ? value.get_object() : empty_object(), *info.type);
      break;
    case ValueType::kQuantity: put_bytes(part, 1, text_of(value)); break;
    case ValueType::kTime: part = time_message(value, false); break;
    case ValueType::kMicroTime: part = time_message(value, true); break;
    case ValueType::kIntOrString:
      put_number(part, 1, value.is_string());
      put_number(part, 2, uint64_t(integer_of(&value, 0)));
      put_bytes(part, 3, text_of(value));
      break;
    case ValueType::kRawExtension:
    case ValueType::kFieldsV1:
    case ValueType::kAnyJson:
      if (!value.is_null()) put_bytes(part, 1, to_text(value));
      break;
    case ValueType::kStringList:
      if (value.is_array())
        for (const Json& item : value.get_array()) put_bytes(part, 1, text_of(item));
      break;
    case ValueType::kSchemaOrBool:
    case ValueType::kSchemaOrArray:
    case ValueType::kSchemaOrStringArray: part = schema_or_message(value, info); break;
  }
  put_bytes(out, number, part);
}

void put_field(std::string& out, const Json* value, const FieldInfo& info) {
  static const Json kNull;
  if (value == nullptr || value->is_null()) {
    // Go's generated code writes every scalar and struct that is no pointer.
    bool always = info.shape == Shape::kSingle && !info.pointer && info.value != ValueType::kBytes;
    if (always) put_value(out, info.number, kNull, info);
  } else if (info.shape == Shape::kList) {
    if (value->is_array())
      for (const Json& item : value->get_array()) put_value(out, info.number, item, info);
  } else if (info.shape == Shape::kMap) {
    if (!value->is_object()) return;
    std::vector<const JsonObject::value_type*> order;
    for (const auto& member : value->get_object()) order.push_back(&member);
    std::ranges::sort(order, {}, [](const auto* member) { return std::string_view(member->key()); });
    for (const auto* member : order) {
      std::string entry;
      put_bytes(entry, 1, member->key());
      put_value(entry, 2, member->value(), info);
      put_bytes(out, info.number, entry);
    }
  } else {
    put_value(out, info.number, *value, info);
  }
}

// Fields in the order of their numbers, as Go writes them, so that equal objects have equal bytes.
void put_message(std::string& out, const JsonObject& members, const TypeInfo& type) {
  auto part = type.inlines.begin();
  auto put_inlines_below = [&](int number) {
    for (; part != type.inlines.end() && part->number < number; ++part) {
      std::string nested;
      put_message(nested, members, *part->type);
      put_bytes(out, part->number, nested);
    }
  };
  for (uint16_t i : type.by_number) {
    const FieldInfo& info = type.fields[i];
    put_inlines_below(info.number);
    put_field(out, members.if_contains(info.name), info);
  }
  put_inlines_below(1 << 29);
}

}  // namespace

Result<std::string> encode_protobuf(const Json& object) {
  std::string_view api_version = str(object, "apiVersion"), kind = str(object, "kind");
  const TypeInfo* type = find_type(api_version, kind);
  if (type == nullptr || !object.is_object())
    return fail(Code::kNotAcceptable, "no protobuf form is known of kind \"{}\" of version \"{}\"", kind, api_version);
  std::string meta, raw, unknown;
  put_bytes(meta, 1, api_version);
  put_bytes(meta, 2, kind);
  put_message(raw, object.get_object(), *type);
  put_bytes(unknown, 1, meta);
  put_bytes(unknown, 2, raw);
  put_bytes(unknown, 3, "");
  put_bytes(unknown, 4, "");
  return std::string(kProtobufMagic) + unknown;
}

}  // namespace rs::api
