#include "roadstead/pki.h"

namespace rs::roadstead {
namespace {

constexpr std::chrono::hours kYear{24 * 365};
constexpr std::chrono::hours kRenewBefore{24 * 60};

struct Files {
  std::filesystem::path certificate, key;
};
Files files_of(const DataDir& data, std::string_view name) {
  auto folder = data.path() / "pki";
  return {folder / fmt::format("{}.crt", name), folder / fmt::format("{}.key", name)};
}

Result<net::KeyPair> load(const DataDir& data, std::string_view name) {
  auto files = files_of(data, name);
  auto certificate = read_file(files.certificate);
  if (!certificate) return fail(certificate.error());
  auto key = read_file(files.key);
  if (!key) return fail(key.error());
  return net::KeyPair{*certificate, *key};
}

Result<void> save(const DataDir& data, std::string_view name, const net::KeyPair& pair) {
  auto files = files_of(data, name);
  // The key first: a certificate without its key would be taken for whole at the next start.
  if (auto done = write_file(files.key, pair.private_key, 0600); !done) return done;
  return write_file(files.certificate, pair.certificate, 0644);
}

bool long_enough(const net::KeyPair& pair, WallTime now) {
  auto end = net::expiry(pair.certificate);
  return end && *end - now > kRenewBefore;
}

Result<net::KeyPair> load_or_issue(const DataDir& data, std::string_view name, const net::KeyPair& ca,
                                   const net::CertificateRequest& request, WallTime now, bool renew) {
  auto known = load(data, name);
  if (known && !renew && long_enough(*known, now)) return known;
  auto made = net::issue(ca, request);
  if (!made) return fail(made.error());
  if (auto saved = save(data, name, *made); !saved) return fail(saved.error());
  return made;
}

net::CertificateRequest server_request(const std::vector<std::string>& host_names,
                                       const std::vector<std::string>& ip_addresses) {
  net::CertificateRequest request;
  request.common_name = "roadstead";
  request.dns_names = {"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                       "kubernetes.default.svc.cluster.local"};
  request.dns_names.insert(request.dns_names.end(), host_names.begin(), host_names.end());
  request.ip_addresses = {"127.0.0.1", "::1"};
  request.ip_addresses.insert(request.ip_addresses.end(), ip_addresses.begin(), ip_addresses.end());
  request.client_auth = true;
  request.lifetime = kYear;
  return request;
}

// A change of names (another --bind) needs another certificate.
Result<bool> names_changed(const DataDir& data, const net::CertificateRequest& request) {
  std::string names;
  for (const auto& list : {request.dns_names, request.ip_addresses})
    for (const auto& name : list) (names += name) += '\n';
  auto file = data.path() / "pki" / "server.names";
  auto known = read_file(file);
  if (known && *known == names) return false;
  if (auto written = write_file(file, names, 0644); !written) return fail(written.error());
  return true;
}

}  // namespace

Result<Pki> load_or_make_pki(const DataDir& data, const std::vector<std::string>& host_names,
                             const std::vector<std::string>& ip_addresses, WallTime now) {
  std::error_code error;
  std::filesystem::create_directories(data.path() / "pki", error);
  if (error) return fail(Code::kForbidden, "cannot make {}/pki: {}", data.path().string(), error.message());
  Pki pki;
  auto ca = load(data, "ca");
  bool fresh_ca = !ca;
  if (fresh_ca) {
    ca = net::make_ca("roadstead-ca", kYear * 10);
    if (!ca) return fail(ca.error());
    if (auto saved = save(data, "ca", *ca); !saved) return fail(saved.error());
  }
  pki.ca = *ca;
  auto server = server_request(host_names, ip_addresses);
  auto changed = names_changed(data, server);
  if (!changed) return fail(changed.error());
  struct Wanted {
    std::string_view name;
    net::CertificateRequest request;
    net::KeyPair* out;
    bool renew;
  };
  net::CertificateRequest admin{.common_name = "roadstead-admin",
                                .organizations = {"system:masters"},
                                .server_auth = false,
                                .lifetime = kYear};
  net::CertificateRequest signer{.common_name = "service-account-signer",
                                 .server_auth = false,
                                 .client_auth = false,
                                 .lifetime = kYear * 10};
  for (const Wanted& wanted : {Wanted{"server", server, &pki.server, fresh_ca || *changed},
                               Wanted{"admin", admin, &pki.admin, fresh_ca},
                               Wanted{"service-accounts", signer, &pki.service_accounts, false}}) {
    auto pair = load_or_issue(data, wanted.name, pki.ca, wanted.request, now, wanted.renew);
    if (!pair) return fail(pair.error());
    *wanted.out = std::move(*pair);
  }
  return pki;
}

}  // namespace rs::roadstead
