#include "store/auth/tokens.h"

#include <algorithm>
#include <array>
#include <map>

namespace rs::store::auth {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr size_t kPrefix = 16;
constexpr size_t kMaxTokens = 100'000;
constexpr Duration kSweep = std::chrono::seconds(1);

class SimpleTokens final : public Tokens {
 public:
  SimpleTokens(const Clock& clock, Duration ttl, RandomBytes random)
      : clock_(clock), ttl_(ttl), random_(std::move(random)) {}

  std::optional<Identity> find(std::string_view token, uint64_t now_revision) override {
    auto it = tokens_.find(token);
    if (it == tokens_.end()) return std::nullopt;
    MonoTime now = clock_.now();
    if (it->second.expiry <= now) {
      tokens_.erase(it);
      return std::nullopt;
    }
    it->second.expiry = now + ttl_;
    return Identity{it->second.user, now_revision};
  }

  Result<std::string> issue(std::string_view user, uint64_t) override {
    sweep();
    if (tokens_.size() >= kMaxTokens)
      return fail(Code::kResourceExhausted, "etcdserver: too many requests");
    std::string token = letters();
    token += fmt::format(".{}", ++issued_);
    tokens_.emplace(token, Entry{std::string(user), clock_.now() + ttl_});
    return token;
  }

  void drop_user(std::string_view user) override {
    std::erase_if(tokens_, [&](const auto& entry) { return entry.second.user == user; });
  }
  void drop_all() override { tokens_.clear(); }

 private:
  struct Entry {
    std::string user;
    MonoTime expiry;
  };

  void sweep() {
    MonoTime now = clock_.now();
    if (now < next_sweep_) return;
    next_sweep_ = now + kSweep;
    std::erase_if(tokens_, [&](const auto& entry) { return entry.second.expiry <= now; });
  }

  std::string letters() {
    std::string out;
    while (out.size() < kPrefix) {
      std::array<std::byte, 32> bytes;
      random_(bytes);
      for (std::byte byte : bytes) {
        // Values past the last whole round of the alphabet would make some letters likelier.
        auto value = size_t(byte);
        if (value < 256 / kLetters.size() * kLetters.size() && out.size() < kPrefix)
          out.push_back(kLetters[value % kLetters.size()]);
      }
    }
    return out;
  }

  const Clock& clock_;
  const Duration ttl_;
  const RandomBytes random_;
  std::map<std::string, Entry, std::less<>> tokens_;
  uint64_t issued_ = 0;
  MonoTime next_sweep_;
};

}  // namespace

std::unique_ptr<Tokens> make_simple_tokens(const Clock& clock, Duration ttl, RandomBytes random) {
  return std::make_unique<SimpleTokens>(clock, ttl, std::move(random));
}

Result<TokenSpec> parse_token_spec(std::string_view text) {
  TokenSpec spec;
  std::map<std::string_view, std::string_view> options;
  std::string_view kind = text.substr(0, text.find(','));
  std::string_view rest =
      text.size() > kind.size() ? text.substr(kind.size() + 1) : std::string_view();
  bool more = text.size() > kind.size();
  while (more) {
    auto comma = rest.find(',');
    std::string_view option = rest.substr(0, comma);
    auto equals = option.find('=');
    if (equals == std::string_view::npos || option.find('=', equals + 1) != std::string_view::npos)
      return fail(Code::kBadRequest, "\"{}\" is not option=value", option);
    if (!options.emplace(option.substr(0, equals), option.substr(equals + 1)).second)
      return fail(Code::kBadRequest, "{} is given twice", option.substr(0, equals));
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
  }
  if (kind == "simple") {
    if (!options.empty())
      return fail(Code::kBadRequest,
                  "simple tokens have no options (--auth-token-ttl is their life)");
    return spec;
  }
  if (kind != "jwt")
    return fail(Code::kBadRequest, "\"{}\" is not a type of token: simple or jwt", kind);
  spec.jwt = true;
  struct {
    std::string_view name;
    std::string& value;
  } known[] = {{"sign-method", spec.method},
               {"pub-key", spec.public_key_file},
               {"priv-key", spec.private_key_file},
               {"ttl", spec.ttl}};
  for (const auto& [name, value] : options) {
    auto it = std::find_if(std::begin(known), std::end(known),
                           [&](const auto& option) { return option.name == name; });
    if (it == std::end(known)) return fail(Code::kBadRequest, "jwt tokens have no option {}", name);
    it->value = value;
  }
  if (spec.method.empty()) return fail(Code::kBadRequest, "jwt tokens need a sign-method");
  return spec;
}

}  // namespace rs::store::auth
