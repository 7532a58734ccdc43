#include "server/encoding.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

namespace rs::server {

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                             reinterpret_cast<const unsigned char*>(bytes.data()), int(bytes.size()));
  out.resize(size_t(size));
  return out;
}

std::string base64url(std::string_view bytes) {
  std::string out = base64(bytes);
  while (!out.empty() && out.back() == '=') out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

Result<std::string> base64url_decode(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string padded(text);
  for (char& c : padded) {
    if (c == '+' || c == '/' || c == '=') return fail(Code::kBadRequest, "invalid base64url");
    c = c == '-' ? '+' : c == '_' ? '/' : c;
  }
  size_t padding = (4 - padded.size() % 4) % 4;
  if (padding == 3) return fail(Code::kBadRequest, "invalid base64url");
  padded.append(padding, '=');
  std::string out(padded.size() / 4 * 3, '\0');
  int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                             reinterpret_cast<const unsigned char*>(padded.data()), int(padded.size()));
  if (size < 0) return fail(Code::kBadRequest, "invalid base64url");
  out.resize(size_t(size) - padding);
  return out;
}

std::string sha256(std::string_view bytes) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

std::string sha512_hex(std::string_view bytes) {
  unsigned char digest[SHA512_DIGEST_LENGTH];
  SHA512(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  std::string out;
  for (unsigned char byte : digest) out += fmt::format("{:02X}", byte);
  return out;
}

}  // namespace rs::server
