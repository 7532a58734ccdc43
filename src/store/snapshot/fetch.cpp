#include "store/snapshot/fetch.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include <openssl/evp.h>

#include "net/tls.h"
#include "store/etcd/messages.h"
#include "store/snapshot/snapshot.h"

namespace rs::store::snapshot {
namespace {

using net::awaitable;

Result<std::string> read_text(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::kNotFound, "cannot read {}", path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Target {
  net::Address address;
  std::shared_ptr<const net::TlsClientContext> tls;
};

bool uses_tls(const FetchOptions& options) {
  if (options.endpoint.starts_with("https://") || options.endpoint.starts_with("unixs://")) return true;
  return options.endpoint.find("://") == std::string::npos && (!options.ca.empty() || !options.certificate.empty());
}

Result<Target> target_of(const FetchOptions& options) {
  std::string_view text = options.endpoint;
  if (text.find(',') != std::string_view::npos)
    return fail(Code::kBadRequest, "a snapshot is of one server, not of several: {}", text);
  if (text.starts_with("http://")) text.remove_prefix(7);
  else if (text.starts_with("https://")) text.remove_prefix(8);
  const bool local = text.starts_with("unix:///") || text.starts_with("unixs:///");
  if (local) {
    text.remove_prefix(text.find('/') + 2);
  } else if (text.ends_with('/')) {
    text.remove_suffix(1);
  }
  auto address = local ? Result<net::Address>(net::Address{std::string(text), 0}) : net::parse_address(text, 2379);
  if (!address) return fail(address.error());
  Target target{std::move(*address), nullptr};
  if (!uses_tls(options)) return target;
  auto ca = read_text(options.ca), certificate = read_text(options.certificate), key = read_text(options.key);
  for (auto* read : {&ca, &certificate, &key}) {
    if (!*read) return fail(read->error());
  }
  auto context = net::TlsClientContext::make({.server_ca = std::move(*ca), .insecure = options.insecure_skip_verify,
                                              .identity = {std::move(*certificate), std::move(*key)}, .alpn = {"h2"}});
  if (!context) return fail(context.error());
  target.tls = std::move(*context);
  return target;
}

awaitable<Result<net::Headers>> sign_in(net::grpc::Client& client, std::string user) {
  const auto colon = user.find(':');
  if (colon == std::string::npos) co_return fail(Code::kBadRequest, "--user is name:password");
  etcd::Writer request;
  request.bytes(1, std::string_view(user).substr(0, colon));
  request.bytes(2, std::string_view(user).substr(colon + 1));
  auto answer = co_await client.call("/etcdserverpb.Auth/Authenticate", request.take(), {}, std::chrono::seconds(10));
  if (!answer) co_return fail(answer.error());
  auto fields = etcd::decode_fields(*answer);
  if (!fields) co_return fail(fields.error());
  co_return net::Headers{{"token", std::string(fields->text(2))}};
}

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::kUnavailable, "writing the snapshot: {}", std::strerror(errno));
    bytes.remove_prefix(size_t(count));
  }
  return {};
}

// Everything but the last 32 bytes is summed, and must give those.
class Verifier {
 public:
  Verifier() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(std::string_view bytes) {
    held_.append(bytes);
    if (held_.size() <= kChecksumBytes) return;
    const size_t sure = held_.size() - kChecksumBytes;
    EVP_DigestUpdate(context_.get(), held_.data(), sure);
    held_.erase(0, sure);
  }
  bool holds() {
    std::string sum(kChecksumBytes, 0);
    EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(sum.data()), nullptr);
    return sum == held_;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  std::string held_;
};

// What to do about an error of the server, or of the way to it.
Error with_advice(const FetchOptions& options, Error error) {
  std::string_view advice;
  const std::string& text = error.message;
  auto says = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  if (says("user name is empty") || says("invalid auth token")) advice = "authentication is on: give --user root:PASSWORD";
  else if (says("permission denied")) advice = "only users with the role root get a snapshot";
  else if (says("authentication is not enabled")) advice = "leave out --user";
  else if (says("certificate of the server")) advice = "give --cacert with the CA of its certificate";
  else if (says("connect to")) advice = "is the server up, and is this its client URL?";
  else if (says("TLS handshake")) advice = "is it https there?";
  else if (error.code == Code::kUnavailable)
    advice = uses_tls(options) ? "does it want a client's --cert and --key?" : "is it https there?";
  if (!advice.empty()) error.message = fmt::format("{}: {} ({})", options.endpoint, text, advice);
  return error;
}

awaitable<Result<uint64_t>> fetch_all(async::Loop& loop, const FetchOptions& options, int fd) {
  auto target = target_of(options);
  if (!target) co_return fail(target.error());
  net::TcpNetwork network(loop);
  net::grpc::Client client(loop, network, target->address, {.tls = target->tls});
  net::Headers metadata;
  if (!options.user.empty()) {
    auto token = co_await sign_in(client, options.user);
    if (!token) co_return fail(token.error());
    metadata = std::move(*token);
  }
  auto stream = co_await client.open("/etcdserverpb.Maintenance/Snapshot", std::move(metadata));
  if (!stream) co_return fail(stream.error());
  for (auto sent : {co_await (*stream)->write(""), co_await (*stream)->writes_done()}) {
    if (!sent) co_return fail(sent.error());
  }
  Verifier verifier;
  uint64_t done = 0;
  while (true) {
    auto message = co_await async::with_timeout(loop, options.idle_timeout, "the server's snapshot", (*stream)->read());
    if (!message) co_return fail(message.error());
    if (!message->has_value()) break;
    auto fields = etcd::decode_fields(**message);
    if (!fields) co_return fail(fields.error());
    const std::string_view blob = fields->text(3);
    verifier.add(blob);
    if (auto written = write_all(fd, blob); !written) co_return fail(written.error());
    done += blob.size();
    if (options.progress) options.progress(done, done + uint64_t(fields->number(2)));
  }
  if (done <= kChecksumBytes || !verifier.holds())
    co_return fail(Code::kDataLoss, "what arrived is not what the server sent: the checksum differs; try again");
  co_return done;
}

}  // namespace

awaitable<Result<uint64_t>> fetch(async::Loop& loop, const FetchOptions& options, int fd) {
  auto bytes = co_await fetch_all(loop, options, fd);
  if (!bytes) co_return fail(with_advice(options, bytes.error()));
  co_return bytes;
}

}  // namespace rs::store::snapshot
