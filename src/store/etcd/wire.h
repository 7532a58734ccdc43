// Protobuf's wire format (protobuf.dev/programming-guides/encoding), by hand: the store's messages are few and hot.
// Fields with default values are not written, as proto3 asks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rs::store::etcd {

inline size_t varint_size(uint64_t value) {
  size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

// Takes a varint off the front; false: cut short, or longer than 10 bytes.
inline bool read_varint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 70 && !in.empty(); shift += 7) {
    auto byte = uint8_t(in.front());
    in.remove_prefix(1);
    if (shift < 64) value |= uint64_t(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

class Writer {
 public:
  void raw_varint(uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(char(value | 0x80));
      value >>= 7;
    }
    out_.push_back(char(value));
  }
  void tag(uint32_t field, uint32_t type) { raw_varint(field << 3 | type); }
  void number(uint32_t field, uint64_t value) {
    if (value == 0) return;
    tag(field, 0);
    raw_varint(value);
  }
  void boolean(uint32_t field, bool value) { number(field, value ? 1 : 0); }
  void bytes(uint32_t field, std::string_view value) {
    if (!value.empty()) element(field, value);
  }
  // Of a repeated field, or a message: written even when empty.
  void element(uint32_t field, std::string_view value) {
    tag(field, 2);
    raw_varint(value.size());
    out_.append(value);
  }
  template <class Fill>
  void message(uint32_t field, const Fill& fill) {
    tag(field, 2);
    size_t begin = out_.size();
    out_.push_back(0);  // most messages are shorter than 128 bytes: then their length fits here
    fill(*this);
    size_t length = out_.size() - begin - 1;
    if (length < 0x80) {
      out_[begin] = char(length);
      return;
    }
    char encoded[10];
    size_t n = 0;
    for (size_t rest = length; n == 0 || rest != 0; rest >>= 7) encoded[n++] = char((rest & 0x7f) | (rest >= 0x80 ? 0x80 : 0));
    out_.replace(begin, 1, encoded, n);
  }
  void append(std::string_view raw) { out_.append(raw); }
  void reserve(size_t bytes) { out_.reserve(bytes); }
  size_t size() const { return out_.size(); }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads one message field by field; ok() is false once something was malformed. Unknown fields are skipped.
//   while (reader.next()) switch (reader.field()) { case 1: key = reader.text(); break; }
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  bool next() {
    if (!ok_ || in_.empty()) return false;
    uint64_t key;
    if (!varint(key) || key >> 3 == 0 || key >> 35 != 0) return ok_ = false;
    field_ = uint32_t(key >> 3);
    switch (key & 7) {
      case 0: return varint(number_) ? (type_ = 0, true) : (ok_ = false);
      case 1: return fixed(8);
      case 2: {
        uint64_t length;
        if (!varint(length) || length > in_.size()) return ok_ = false;
        text_ = in_.substr(0, length);
        in_.remove_prefix(length);
        type_ = 2;
        return true;
      }
      case 3: return group();
      case 5: return fixed(4);
      default: return ok_ = false;
    }
  }
  uint32_t field() const { return field_; }
  // The value; a field of another wire type than asked for makes the message malformed.
  uint64_t number() { return type_ == 0 ? number_ : (ok_ = false, 0); }
  int64_t signed_number() { return int64_t(number()); }
  bool boolean() { return number() != 0; }
  std::string_view text() { return type_ == 2 ? text_ : (ok_ = false, std::string_view()); }
  bool is_text() const { return type_ == 2; }
  bool is_number() const { return type_ == 0; }
  bool ok() const { return ok_; }
  void spoil() { ok_ = false; }

 private:
  bool varint(uint64_t& value) { return read_varint(in_, value); }
  // Groups are of proto2: nobody asks for one, so it is skipped with all that is in it.
  bool group() {
    for (size_t depth = 1; depth > 0;) {
      uint64_t key, value;
      if (!varint(key)) return ok_ = false;
      size_t skip = 0;
      switch (key & 7) {
        case 0:
          if (!varint(value)) return ok_ = false;
          break;
        case 1: skip = 8; break;
        case 2:
          if (!varint(value) || value > in_.size()) return ok_ = false;
          skip = size_t(value);
          break;
        case 3: ++depth; break;
        case 4: --depth; break;
        case 5: skip = 4; break;
        default: return ok_ = false;
      }
      if (skip > in_.size()) return ok_ = false;
      in_.remove_prefix(skip);
    }
    type_ = 3;
    return true;
  }
  bool fixed(size_t bytes) {
    if (in_.size() < bytes) return ok_ = false;
    in_.remove_prefix(bytes);
    type_ = 1;
    return true;
  }

  std::string_view in_, text_;
  uint64_t number_ = 0;
  uint32_t field_ = 0, type_ = 0;
  bool ok_ = true;
};

}  // namespace rs::store::etcd
