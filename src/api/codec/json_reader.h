// The JSON of requests: as base/json.h's parser, but it also finds duplicate members, and its errors are Go's
// (encoding/json), which clients show to people. Invalid UTF-8 becomes U+FFFD, as in Go. Never throws.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace rs::api {

inline constexpr size_t kMaxValues = 1'000'000;  // in one body, of whatever format

// duplicates (may be null): the paths of members that were given twice; the last one counts.
Result<Json> read_json(std::string_view text, std::vector<std::string>* duplicates, JsonLimits limits = {});

// text with every byte sequence that is not UTF-8 replaced.
std::string valid_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text);

}  // namespace rs::api
