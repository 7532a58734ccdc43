#include "api/codec/protobuf_reader.h"

#include <bit>
#include <cmath>

#include "api/codec.h"
#include "api/codec/json_reader.h"
#include "base/clock.h"

namespace rs::api {
namespace {

constexpr int kDepthMax = 128;
constexpr std::string_view kMalformed = "unexpected EOF or malformed protobuf message";

// Wire types.
constexpr int kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

struct Tag {
  int number = 0;
  int wire = 0;
  uint64_t varint = 0;        // kVarint; the bits of kFixed64 and kFixed32
  std::string_view bytes;     // kBytes
};

bool read_varint(std::string_view& in, uint64_t& out) {
  out = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (in.empty()) return false;
    auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    if (shift < 64) out |= uint64_t(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool read_fixed(std::string_view& in, size_t size, uint64_t& out) {
  if (in.size() < size) return false;
  out = 0;
  for (size_t i = 0; i < size; ++i) out |= uint64_t(static_cast<unsigned char>(in[i])) << (8 * i);
  in.remove_prefix(size);
  return true;
}

bool read_tag(std::string_view& in, Tag& tag) {
  uint64_t key = 0;
  if (!read_varint(in, key) || key >> 3 == 0 || key >> 3 > 536'870'911) return false;
  tag.number = int(key >> 3);
  tag.wire = int(key & 7);
  switch (tag.wire) {
    case kVarint: return read_varint(in, tag.varint);
    case kFixed64: return read_fixed(in, 8, tag.varint);
    case kFixed32: return read_fixed(in, 4, tag.varint);
    case kBytes: {
      uint64_t length = 0;
      if (!read_varint(in, length) || length > in.size()) return false;
      tag.bytes = in.substr(0, length);
      in.remove_prefix(length);
      return true;
    }
    default: return false;  // groups: Kubernetes has none
  }
}

Json text(std::string_view bytes) {
  if (is_valid_utf8(bytes)) return Json(bytes);
  return Json(valid_utf8(bytes));
}

class Reader {
 public:
  bool message(std::string_view in, const TypeInfo& type, JsonObject& out) {
    if (++depth_ > kDepthMax) return false;
    Tag tag;
    while (!in.empty()) {
      if (!read_tag(in, tag) || ++count_ > kMaxValues) return false;
      if (const FieldInfo* field = type.field_by_number(tag.number)) {
        if (!this->field(tag, *field, out)) return false;
      } else if (tag.wire == kBytes) {
        for (const TypeInfo::Inline& part : type.inlines)
          if (part.number == tag.number && !message(tag.bytes, *part.type, out)) return false;
      }
    }
    --depth_;
    return true;
  }

 private:
  bool field(const Tag& tag, const FieldInfo& info, JsonObject& out) {
    if (info.shape == Shape::kMap) return map_entry(tag, info, out);
    if (info.shape == Shape::kList) {
      Json& list = out[info.name];
      if (!list.is_array()) list.emplace_array();
      if (tag.wire == kBytes && (info.is_integer() || info.value == ValueType::kBool)) return packed(tag, info, list);
      return value(tag, info, list.get_array().emplace_back(nullptr));
    }
    Json single;
    if (!value(tag, info, single)) return false;
    // Go writes zeros of fields that are no pointers; JSON leaves them out under omitempty.
    if (single.is_null() || (info.omit_empty && !info.pointer && is_zero(single, info))) return true;
    out.insert_or_assign(info.name, std::move(single));
    return true;
  }

  static bool is_zero(const Json& value, const FieldInfo& info) {
    if (value.is_string()) return value.get_string().empty() && info.value != ValueType::kIntOrString;
    if (value.is_int64()) return value.get_int64() == 0;
    return value.is_bool() && !value.get_bool();
  }

  bool packed(const Tag& tag, const FieldInfo& info, Json& list) {
    std::string_view rest = tag.bytes;
    Tag item;
    while (!rest.empty()) {
      if (!read_varint(rest, item.varint) || ++count_ > kMaxValues) return false;
      if (!value(item, info, list.get_array().emplace_back(nullptr))) return false;
    }
    return true;
  }

  bool map_entry(const Tag& tag, const FieldInfo& info, JsonObject& out) {
    if (tag.wire != kBytes) return false;
    Json& map = out[info.name];
    if (!map.is_object()) map.emplace_object();
    std::string_view rest = tag.bytes;
    Tag part;
    std::string key;
    Json item;
    while (!rest.empty()) {
      if (!read_tag(rest, part)) return false;
      if (part.number == 1 && part.wire == kBytes) key = valid_utf8(part.bytes);
      if (part.number == 2 && !value(part, info, item)) return false;
    }
    map.get_object().insert_or_assign(key, std::move(item));
    return true;
  }

  bool value(const Tag& tag, const FieldInfo& info, Json& out) {
    switch (info.value) {
      case ValueType::kString:
        if (tag.wire != kBytes) return false;
        out = text(tag.bytes);
        return true;
      case ValueType::kBool:
        if (tag.wire != kVarint) return false;
        out = tag.varint != 0;
        return true;
      case ValueType::kInt32:
        if (tag.wire != kVarint) return false;
        out = static_cast<int32_t>(tag.varint);
        return true;
      case ValueType::kInt64:
        if (tag.wire != kVarint) return false;
        out = static_cast<int64_t>(tag.varint);
        return true;
      case ValueType::kDouble: {
        double number = std::bit_cast<double>(tag.varint);
        if (tag.wire != kFixed64 || !std::isfinite(number)) return false;
        out = number;
        return true;
      }
      default: return tag.wire == kBytes && structured(tag.bytes, info, out);
    }
  }

  bool structured(std::string_view bytes, const FieldInfo& info, Json& out) {
    switch (info.value) {
      case ValueType::kBytes: out = to_base64(bytes); return true;
      case ValueType::kMessage: return message(bytes, *info.type, out.emplace_object());
      case ValueType::kQuantity: return quantity(bytes, out);
      case ValueType::kTime: return time(bytes, false, out);
      case ValueType::kMicroTime: return time(bytes, true, out);
      case ValueType::kIntOrString: return int_or_string(bytes, out);
      case ValueType::kRawExtension:
      case ValueType::kFieldsV1:
      case ValueType::kAnyJson: return embedded(bytes, out);
      case ValueType::kStringList: return string_list(bytes, 1, out);
      case ValueType::kSchemaOrBool:
      case ValueType::kSchemaOrArray:
      case ValueType::kSchemaOrStringArray: return schema_or(bytes, info, out);
      default: return false;
    }
  }

  static bool quantity(std::string_view in, Json& out) {
    Tag tag;
    out = "0";
    while (!in.empty()) {
      if (!read_tag(in, tag)) return false;
      if (tag.number == 1 && tag.wire == kBytes && !tag.bytes.empty()) out = text(tag.bytes);
    }
    return true;
  }

  static bool time(std::string_view in, bool micro, Json& out) {
    Tag tag;
    int64_t seconds = 0, nanos = 0;
    bool any = false;
    while (!in.empty()) {
      if (!read_tag(in, tag)) return false;
      if (tag.number == 1 && tag.wire == kVarint) seconds = static_cast<int64_t>(tag.varint);
      if (tag.number == 2 && tag.wire == kVarint) nanos = static_cast<int32_t>(tag.varint);
      any = true;
    }
    // Year 1 is Go's zero time; beyond what a WallTime holds nothing sensible can be shown.
    if (!any || seconds < -9'200'000'000 || seconds > 9'200'000'000 || nanos < 0 || nanos > 999'999'999) return true;
    WallTime wall{std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanos)};
    out = micro ? rfc3339_micro(wall) : rfc3339(wall);
    return true;
  }

  static bool int_or_string(std::string_view in, Json& out) {
    Tag tag;
    int64_t type = 0, number = 0;
    std::string_view string;
    while (!in.empty()) {
      if (!read_tag(in, tag)) return false;
      if (tag.number == 1 && tag.wire == kVarint) type = static_cast<int64_t>(tag.varint);
      if (tag.number == 2 && tag.wire == kVarint) number = static_cast<int32_t>(tag.varint);
      if (tag.number == 3 && tag.wire == kBytes) string = tag.bytes;
    }
    out = type == 1 ? text(string) : Json(number);
    return true;
  }

  // {1: the JSON text}; RawExtension may hold an envelope instead.
  bool embedded(std::string_view in, Json& out) {
    Tag tag;
    std::string_view raw;
    while (!in.empty()) {
      if (!read_tag(in, tag)) return false;
      if (tag.number == 1 && tag.wire == kBytes) raw = tag.bytes;
    }
    if (raw.empty()) return true;
    if (raw.starts_with(kProtobufMagic)) {
      auto envelope = read_envelope(raw);
      if (!envelope) return false;
      const TypeInfo* type = find_type(envelope->api_version, envelope->kind);
      if (type == nullptr) return true;
      JsonObject& members = out.emplace_object();
      members["apiVersion"] = envelope->api_version;
      members["kind"] = envelope->kind;
      return message(envelope->raw, *type, members);
    }
    auto parsed = read_json(raw, nullptr);
    if (!parsed) return false;
    out = std::move(*parsed);
    return true;
  }

  bool string_list(std::string_view in, int number, Json& out) {
    JsonArray& items = out.emplace_array();
    Tag tag;
    while (!in.empty()) {
      if (!read_tag(in, tag) || ++count_ > kMaxValues) return false;
      if (tag.number == number && tag.wire == kBytes) items.push_back(text(tag.bytes));
    }
    return true;
  }

  // OrBool {allows=1, schema=2}; OrArray {schema=1, jSONSchemas=2}; OrStringArray {schema=1, property=2}.
  bool schema_or(std::string_view in, const FieldInfo& info, Json& out) {
    bool or_bool = info.value == ValueType::kSchemaOrBool;
    Tag tag;
    if (or_bool) out = false;
    JsonArray items;
    while (!in.empty()) {
      if (!read_tag(in, tag) || ++count_ > kMaxValues) return false;
      if (or_bool && tag.number == 1 && tag.wire == kVarint) {
        if (!out.is_object()) out = tag.varint != 0;
      } else if (tag.wire == kBytes && tag.number == (or_bool ? 2 : 1)) {
        if (!message(tag.bytes, *info.type, out.emplace_object())) return false;
      } else if (tag.wire == kBytes && tag.number == 2) {
        Json& item = items.emplace_back(nullptr);
        if (info.value == ValueType::kSchemaOrStringArray) item = text(tag.bytes);
        else if (!message(tag.bytes, *info.type, item.emplace_object())) return false;
      }
    }
    if (!or_bool && !out.is_object()) out = std::move(items);
    return true;
  }

  int depth_ = 0;
  size_t count_ = 0;
};

}  // namespace

Result<ProtobufEnvelope> read_envelope(std::string_view body) {
  if (!body.starts_with(kProtobufMagic))
    return fail(Code::kBadRequest,
                "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  body.remove_prefix(kProtobufMagic.size());
  ProtobufEnvelope out;
  Tag tag, part;
  while (!body.empty()) {
    if (!read_tag(body, tag)) return fail(Code::kBadRequest, "{}", kMalformed);
    if (tag.wire != kBytes) continue;
    if (tag.number == 2) out.raw = tag.bytes;
    if (tag.number == 4) out.content_type = tag.bytes;
    if (tag.number != 1) continue;
    std::string_view meta = tag.bytes;
    while (!meta.empty()) {
      if (!read_tag(meta, part)) return fail(Code::kBadRequest, "{}", kMalformed);
      if (part.wire == kBytes && part.number == 1) out.api_version = part.bytes;
      if (part.wire == kBytes && part.number == 2) out.kind = part.bytes;
    }
  }
  return out;
}

Result<JsonObject> read_message(std::string_view bytes, const TypeInfo& type) {
  JsonObject out;
  if (!Reader().message(bytes, type, out)) return fail(Code::kBadRequest, "{}", kMalformed);
  return out;
}

std::string to_base64(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j) out += j <= count ? kAlphabet[(group >> (18 - 6 * j)) & 63] : '=';
  }
  return out;
}

std::string from_base64(std::string_view text_in) {
  std::string out;
  uint32_t group = 0;
  int bits = 0;
  for (char c : text_in) {
    uint32_t digit = c >= 'A' && c <= 'Z'   ? uint32_t(c - 'A')
                     : c >= 'a' && c <= 'z' ? uint32_t(c - 'a' + 26)
                     : c >= '0' && c <= '9' ? uint32_t(c - '0' + 52)
                     : c == '+'             ? 62
                     : c == '/'             ? 63
                                            : 64;
    if (digit == 64) continue;
    group = group << 6 | digit;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += char((group >> bits) & 0xff);
  }
  return out;
}

}  // namespace rs::api
