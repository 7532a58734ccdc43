#include "server/authenticate.h"

#include "api/meta.h"

namespace rs::server {
namespace {
constexpr std::string_view kBearer = "Bearer ";
constexpr std::chrono::seconds kLeeway{60};   // between clocks

std::unexpected<Error> unauthorized(std::string_view why = {}) {
  return fail(Code::kUnauthorized, "Unauthorized{}{}", why.empty() ? "" : ": ", why);
}

UserInfo from_certificate(const net::PeerCertificate& certificate) {
  return {.name = certificate.common_name, .uid = {}, .groups = certificate.organizations, .extra = {}};
}

// An object a token is bound to must still be the same one.
bool same_object(const Core& core, std::string_view plural, std::string_view ns, const Json& reference) {
  ObjectPtr object = core.find("", plural, ns, str(reference, "name"));
  if (object == nullptr) return false;
  Json tree = object->tree();
  return str(reference, "uid").empty() || api::uid_of(tree) == str(reference, "uid");
}

bool audience_fits(const Json& claims, const std::vector<std::string>& wanted) {
  auto fits = [&](const Json& audience) {
    return audience.is_string() && std::find(wanted.begin(), wanted.end(), audience.get_string().c_str()) != wanted.end();
  };
  const Json* audience = find(claims, "aud");
  if (audience == nullptr) return false;
  if (!audience->is_array()) return fits(*audience);
  const JsonArray& list = audience->get_array();
  return std::any_of(list.begin(), list.end(), fits);
}
}  // namespace

Result<void> Authenticator::start() {
  std::vector<std::string> pems = core_.options.service_account_old_keys;
  pems.insert(pems.begin(), core_.options.service_account_key);
  auto keys = TokenKeys::make(pems);
  if (!keys) return std::unexpected(keys.error());
  keys_ = std::move(*keys);
  return {};
}

Result<UserInfo> Authenticator::check_token(std::string_view token, const std::vector<std::string>& audiences) const {
  auto claims = keys_.verify(token);
  if (!claims) return std::unexpected(claims.error());
  auto now = std::chrono::duration_cast<std::chrono::seconds>(core_.loop.wall().since_unix);
  if (integer(*claims, "exp") <= now.count()) return unauthorized("the token has expired");
  if (integer(*claims, "nbf") > (now + kLeeway).count()) return unauthorized("the token is not valid yet");
  if (str(*claims, "iss") != core_.options.issuer) return unauthorized("the token has another issuer");
  if (!audience_fits(*claims, audiences.empty() ? core_.options.audiences : audiences))
    return unauthorized("the token is for another audience");
  const Json* bound = find(*claims, "kubernetes.io");
  if (bound == nullptr) return unauthorized("the token names no service account");
  std::string ns(str(*bound, "namespace")), name(str(*bound, "serviceaccount", "name"));
  if (!same_object(core_, "serviceaccounts", ns, *find(*claims, "kubernetes.io", "serviceaccount")))
    return unauthorized("the service account is gone");
  UserInfo user;
  user.name = fmt::format("system:serviceaccount:{}:{}", ns, name);
  user.uid = str(*bound, "serviceaccount", "uid");
  user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, kAuthenticated};
  user.extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + std::string(str(*claims, "jti"))};
  if (const Json* pod = find(*bound, "pod")) {
    if (!same_object(core_, "pods", ns, *pod)) return unauthorized("the pod of the token is gone");
    user.extra["authentication.kubernetes.io/pod-name"] = {std::string(str(*pod, "name"))};
    user.extra["authentication.kubernetes.io/pod-uid"] = {std::string(str(*pod, "uid"))};
  }
  if (const Json* secret = find(*bound, "secret"); secret != nullptr && !same_object(core_, "secrets", ns, *secret))
    return unauthorized("the secret of the token is gone");
  return user;
}

Result<UserInfo> Authenticator::authenticate(const net::Request& request) const {
  if (request.certificate != nullptr && !request.certificate->common_name.empty()) {
    UserInfo user = from_certificate(*request.certificate);
    user.groups.emplace_back(kAuthenticated);
    return user;
  }
  std::string_view header = request.headers.get("Authorization");
  if (header.starts_with(kBearer)) {
    std::string_view token = header.substr(kBearer.size());
    while (token.starts_with(' ')) token.remove_prefix(1);
    auto user = check_token(token, {});
    if (!user) return unauthorized();
    return user;
  }
  if (!header.empty() || !core_.options.anonymous) return unauthorized();
  return UserInfo{.name = kAnonymousUser, .uid = {}, .groups = {kUnauthenticated}, .extra = {}};
}

}  // namespace rs::server
