#include "store/auth/password.h"

#include <crypt.h>

#include <memory>

#include "store/auth/errors.h"

namespace rs::store::auth {
namespace {

constexpr size_t kMaxBytes = 72;
constexpr size_t kSettingBytes = 29;  // "$2b$10$" and 22 characters of salt
constexpr size_t kHashBytes = 60;

bool is_bcrypt_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '/';
}

// "$2a$" of Go, "$2b$" and "$2y$" all mean the algorithm without its two old bugs, which libcrypt
// calls "$2b$".
std::string crypt_with(const std::string& password, std::string setting) {
  setting[2] = 'b';
  auto data = std::make_unique<crypt_data>();
  const char* out = ::crypt_r(password.c_str(), setting.c_str(), data.get());
  std::string hash = out == nullptr ? "" : out;
  return hash.size() == kHashBytes ? hash : "";
}

}  // namespace

bool is_bcrypt_hash(std::string_view text) {
  if (text.size() != kHashBytes || !text.starts_with("$2") || text[3] != '$' || text[6] != '$')
    return false;
  if (text[2] != 'a' && text[2] != 'b' && text[2] != 'y') return false;
  if (text[4] < '0' || text[4] > '3' || text[5] < '0' || text[5] > '9') return false;
  int cost = (text[4] - '0') * 10 + (text[5] - '0');
  if (cost < kMinBcryptCost || cost > kMaxBcryptCost) return false;
  for (char c : text.substr(7)) {
    if (!is_bcrypt_character(c)) return false;
  }
  return true;
}

Result<std::string> hash_password(std::string_view password, int cost, const Salt& salt) {
  if (password.size() > kMaxBytes) return fail(errors::password_too_long());
  if (password.find('\0') != std::string_view::npos)
    return fail(Code::kBadRequest, "etcdserver: a password with a zero byte is not supported");
  char setting[CRYPT_GENSALT_OUTPUT_SIZE] = {};
  const char* made = ::crypt_gensalt_rn("$2b$", static_cast<unsigned long>(cost),
                                        reinterpret_cast<const char*>(salt.data()),
                                        int(salt.size()), setting, sizeof setting);
  std::string hash = made == nullptr ? "" : crypt_with(std::string(password), made);
  if (hash.empty()) return fail(Code::kInternalError, "hashing a password failed");
  return hash;
}

bool is_password(std::string_view password, std::string_view hash) {
  if (!is_bcrypt_hash(hash) || password.find('\0') != std::string_view::npos) return false;
  std::string computed =
      crypt_with(std::string(password), std::string(hash.substr(0, kSettingBytes)));
  if (computed.empty()) return false;
  // All of it, whatever differs first.
  unsigned different = 0;
  for (size_t i = kSettingBytes; i < kHashBytes; ++i)
    different |= unsigned(uint8_t(computed[i]) ^ uint8_t(hash[i]));
  return different == 0;
}

}  // namespace rs::store::auth
