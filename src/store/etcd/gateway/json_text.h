// JSON text, read in place (RFC 8259), with the words of Go's encoding/json for what is wrong with
// it: clients of etcd's gateway see those. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rs::store::etcd::gateway {

inline constexpr size_t kJsonDepthMax =
    400;  // of arrays and objects; a nested transaction takes three

// Where the first value of text begins and ends; what follows it is not looked at. begin == end:
// only white space. kBadRequest: not JSON, cut short, or nested too deep.
struct JsonSpan {
  size_t begin = 0, end = 0;
};
Result<JsonSpan> find_json_value(std::string_view text);

// Reads a value that find_json_value has found well-formed.
class JsonCursor {
 public:
  enum class Kind { kObject, kArray, kString, kNumber, kTrue, kFalse, kNull };

  explicit JsonCursor(std::string_view value) : text_(value) {}
  Kind kind();             // of the next value; white space and separators before it are skipped
  std::string_view raw();  // the next value's text, whole; goes past it
  void enter() { ++position_; }  // the object or array that kind() has found
  bool more();  // another member or element? else goes past the end of the object or array
  size_t position() const { return position_; }
  // "line:column" of a position, both from 1; columns are bytes.
  std::string place(size_t position) const;

 private:
  void skip_space();
  std::string_view text_;
  size_t position_ = 0;
};

// The value of a string literal with its quotes; kBadRequest when it is not UTF-8 or has half a
// surrogate pair.
Result<std::string> json_string_value(std::string_view literal);
bool is_utf8(std::string_view text);
// A JSON string literal; what is not UTF-8 becomes U+FFFD.
void append_json_string(std::string& out, std::string_view text);

}  // namespace rs::store::etcd::gateway
