// What a stranger shows to prove who it is, and what an operator writes of tokens: read without
// harm, and no text is taken for a token that was not issued.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/random.h"
#include "store/auth/base64.h"
#include "store/auth/password.h"
#include "store/auth/tokens.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs;
  using namespace rs::store::auth;
  static SystemClock clock;
  static auto simple = make_simple_tokens(clock, std::chrono::seconds(300), secure_bytes);
  // The secret is not in the input, so a token that is found was forged.
  static auto jwt = make_jwt_tokens(
      clock, {"HS256", "", std::to_string(secure_seed()), std::chrono::seconds(300)});
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (simple->find(text, 1) || (*jwt)->find(text, 1)) std::abort();
  (void)parse_token_spec(text);
  (void)is_bcrypt_hash(text);
  if (auto bytes = base64url_decode(text); bytes && base64url(*bytes) != text) std::abort();
  (void)base64_decode(text);
  return 0;
}
