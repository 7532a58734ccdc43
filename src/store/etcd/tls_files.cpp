#include "store/etcd/tls_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "base/log.h"

namespace rs::store::etcd {
Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::kNotFound, "cannot read {}", path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

namespace {

Result<void> write_file(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written = fd >= 0 && ::write(fd, text.data(), text.size()) == ssize_t(text.size());
  if (fd >= 0) ::close(fd);
  if (!written) return fail(Code::kUnavailable, "cannot write {}: {}", path, std::strerror(errno));
  return {};
}

}  // namespace

Result<std::unique_ptr<TlsFiles>> TlsFiles::open(const StandaloneOptions& options) {
  std::unique_ptr<TlsFiles> files(new TlsFiles(options));
  files->seen_ = files->look();
  auto context = files->load();
  if (!context) return fail(context.error());
  files->context_ = std::move(*context);
  return files;
}

std::vector<TlsFiles::Seen> TlsFiles::look() const {
  std::vector<Seen> out;
  for (const std::string* path : {&options_.cert_file, &options_.key_file,
                                  &options_.trusted_ca_file, &options_.client_crl_file}) {
    struct stat found{};
    if (path->empty() || ::stat(path->c_str(), &found) != 0) {
      out.emplace_back();
      continue;
    }
    out.push_back({found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec, found.st_size,
                   found.st_ino});
  }
  return out;
}

Result<std::shared_ptr<const net::TlsServerContext>> TlsFiles::load() const {
  net::TlsServerOptions tls;
  struct {
    std::string_view flag;
    const std::string& path;
    std::string& text;
  } files[] = {{"--cert-file", options_.cert_file, tls.identity.certificate},
               {"--key-file", options_.key_file, tls.identity.private_key},
               {"--trusted-ca-file", options_.trusted_ca_file, tls.client_ca},
               {"--client-crl-file", options_.client_crl_file, tls.client_rules.revocation_list}};
  for (auto& [flag, path, text] : files) {
    if (path.empty()) continue;
    auto read = read_file(path);
    if (!read) return fail_at(flag, read.error());
    if (read->empty()) return fail(Code::kBadRequest, "{}: {} is empty", flag, path);
    text = std::move(*read);
  }
  // etcd asks for certificates as soon as it knows who vouches for them
  // (transport.TLSInfo.ServerConfig).
  tls.require_client_certificate = options_.client_cert_auth || !options_.trusted_ca_file.empty();
  tls.client_rules.common_names = options_.client_cert_allowed_cn;
  tls.client_rules.host_names = options_.client_cert_allowed_hostname;
  tls.version_min = options_.tls_min;
  tls.version_max = options_.tls_max;
  tls.cipher_suites = options_.cipher_suites;
  return net::TlsServerContext::make(tls);
}

std::shared_ptr<const net::TlsServerContext> TlsFiles::current() {
  auto seen = look();
  if (seen == seen_) return context_;
  seen_ = std::move(seen);
  auto context = load();
  if (context) {
    context_ = std::move(*context);
    log::info("store", "read the TLS files again", {{"certificate", options_.cert_file}});
  } else {
    log::warning("store", "the changed TLS files cannot be used: the old ones are",
                 {{"why", to_string(context.error())}});
  }
  return context_;
}

Result<void> make_self_signed(const Clock& clock, const std::string& directory,
                              StandaloneOptions& options) {
  const std::string certificate = directory + "/cert.pem", key = directory + "/key.pem";
  options.cert_file = certificate;
  options.key_file = key;
  if (auto old = read_file(certificate)) {
    auto ends = net::expiry(*old);
    if (ends && *ends > clock.wall() && read_file(key)) return {};
  }
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail(Code::kUnavailable, "cannot make {}: {}", directory, error.message());
  std::set<std::string> hosts = {"127.0.0.1", "::1"};
  for (const Url& url : options.listen_client_urls) {
    if (url.path.empty()) hosts.insert(url.host);
  }
  const auto lifetime = std::chrono::hours(24 * 365) * options.self_signed_years;
  auto authority = net::make_ca("roadstead store", lifetime);
  if (!authority) return fail(authority.error());
  auto pair = net::issue(*authority, {.common_name = options.name,
                                      .dns_names = {"localhost"},
                                      .ip_addresses = {hosts.begin(), hosts.end()},
                                      .lifetime = lifetime});
  if (!pair) return fail(pair.error());
  // With who issued it, so that clients can trust this one file.
  if (auto written = write_file(key, pair->private_key); !written) return written;
  return write_file(certificate, pair->certificate + authority->certificate);
}

}  // namespace rs::store::etcd
