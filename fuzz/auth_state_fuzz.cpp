// The stored users and roles: whatever the bytes, decoding ends, and what was understood reads back
// the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "store/auth/state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto state = rs::store::auth::decode_state(text);
  if (!state) return 0;
  auto again = rs::store::auth::decode_state(rs::store::auth::encode(*state));
  if (!again || *again != *state) std::abort();
  return 0;
}
