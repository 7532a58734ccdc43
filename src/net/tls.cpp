// TLS over any Stream: OpenSSL works on memory, the Stream moves the bytes.
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/this_coro.hpp>

#include "async/event.h"
#include "net/openssl.h"
#include "net/tls_policy.h"

namespace rs::net {
namespace {

constexpr size_t kReadBytesMin = 2 << 10, kReadBytesMax = 32 << 10;

std::vector<unsigned char> alpn_wire(const std::vector<std::string>& protocols) {
  std::vector<unsigned char> out;
  for (const auto& protocol : protocols) {
    out.push_back(static_cast<unsigned char>(protocol.size()));
    out.insert(out.end(), protocol.begin(), protocol.end());
  }
  return out;
}

Result<void> use_identity(SSL_CTX* context, const KeyPair& identity) {
  auto chain = read_certificates(identity.certificate);
  if (!chain) return fail_at("certificate", chain.error());
  auto key = read_private_key(identity.private_key);
  if (!key) return fail_at("private key", key.error());
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1) return openssl_error("certificate");
  for (size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) != 1) return openssl_error("certificate chain");
  }
  if (SSL_CTX_use_PrivateKey(context, key->get()) != 1 || SSL_CTX_check_private_key(context) != 1)
    return openssl_error("private key does not fit the certificate");
  return {};
}

Result<void> trust(SSL_CTX* context, const std::string& bundle) {
  auto certificates = read_certificates(bundle);
  if (!certificates) return fail_at("CA bundle", certificates.error());
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const auto& certificate : *certificates) X509_STORE_add_cert(store, certificate.get());
  ERR_clear_error();  // a certificate that is there twice
  return {};
}

void common_options(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // A connection that waits holds no record buffers.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned offered_size, void* wire) {
  const auto& ours = *static_cast<const std::vector<unsigned char>*>(wire);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, ours.data(), static_cast<unsigned>(ours.size()), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// A client certificate that does not verify leaves the client without identity; the handshake goes on (as Go's
// tls.RequestClientCert): who serves answers 401, which a user understands better than a broken connection.
int accept_any(int, X509_STORE_CTX*) { return 1; }

class TlsStream final : public Stream {
 public:
  TlsStream(async::Loop& loop, std::unique_ptr<Stream> inner, SSL* ssl, std::shared_ptr<const void> context)
      : inner_(std::move(inner)), context_(std::move(context)), ssl_(ssl), flushed_(loop), read_bytes_(kReadBytesMin) {
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl, in_, out_);
  }

  awaitable<Result<void>> handshake() {
    for (;;) {
      ERR_clear_error();
      const int done = SSL_do_handshake(ssl_.get());
      const int reason = SSL_get_error(ssl_.get(), done);
      const bool not_tls = SSL_is_server(ssl_.get()) && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
      const auto failure = done == 1 || reason == SSL_ERROR_WANT_READ ? Result<void>{} : handshake_failure();
      // Go's answer (net/http, tlsRecordHeaderLooksLikeHTTP).
      if (not_tls)
        (void)co_await inner_->write(std::string_view("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"));
      auto sent = co_await flush();  // an alert too
      if (!failure) co_return failure;
      if (!sent) co_return sent;
      if (done == 1) break;
      auto more = co_await fill();
      if (!more) co_return fail(more.error());
      if (*more == 0) co_return fail(Code::kUnavailable, "TLS handshake: the peer closed the connection");
    }
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    alpn_.assign(reinterpret_cast<const char*>(name), size);
    X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate && SSL_get_verify_result(ssl_.get()) == X509_V_OK) certificate_ = describe(certificate);
    co_return Result<void>{};
  }

  awaitable<Result<size_t>> read(asio::mutable_buffer buffer) override {
    if (buffer.size() == 0) co_return size_t{0};
    for (;;) {
      ERR_clear_error();
      size_t count = 0;
      const int done = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
      const int reason = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
      if (BIO_ctrl_pending(out_) > 0 && !flushing_) {
        auto sent = co_await flush();
        if (!sent) co_return fail(sent.error());
      }
      if (done == 1) co_return count;
      if (reason == SSL_ERROR_ZERO_RETURN) co_return size_t{0};
      if (reason != SSL_ERROR_WANT_READ) co_return openssl_error("TLS read", Code::kUnavailable);
      auto more = co_await fill();
      if (!more || *more == 0) co_return more;
    }
  }

  awaitable<Result<void>> write(std::span<const asio::const_buffer> buffers) override {
    // Small buffers (a head and a body) share a record.
    constexpr size_t kRecord = 16 << 10;
    std::string record;
    for (const auto& buffer : buffers) {
      auto* data = static_cast<const char*>(buffer.data());
      size_t size = buffer.size();
      while (size > 0) {
        const size_t count = std::min(size, kRecord - record.size());
        record.append(data, count);
        data += count;
        size -= count;
        if (record.size() < kRecord) continue;
        if (auto sent = encrypt(record); !sent) co_return sent;
        record.clear();
        if (BIO_ctrl_pending(out_) >= 16 * kRecord) {
          auto sent = co_await flush();
          if (!sent) co_return sent;
        }
      }
    }
    if (!record.empty()) {
      if (auto sent = encrypt(record); !sent) co_return sent;
    }
    co_return co_await flush();
  }

  awaitable<Result<void>> shutdown_write() override {
    SSL_shutdown(ssl_.get());
    auto sent = co_await flush();
    if (!sent) co_return sent;
    co_return co_await inner_->shutdown_write();
  }

  void close() override { inner_->close(); }
  Address local() const override { return inner_->local(); }
  Address peer() const override { return inner_->peer(); }
  std::string_view alpn() const override { return alpn_; }
  const PeerCertificate* peer_certificate() const override { return certificate_ ? &*certificate_ : nullptr; }

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  Result<void> handshake_failure() {
    const long verified = SSL_get_verify_result(ssl_.get());
    if (verified != X509_V_OK && !SSL_is_server(ssl_.get()))
      return fail(Code::kUnavailable, "TLS handshake: certificate of the server does not verify: {}",
                  X509_verify_cert_error_string(verified));
    return openssl_error("TLS handshake", Code::kUnavailable);
  }

  Result<void> encrypt(std::string_view bytes) {
    while (!bytes.empty()) {
      ERR_clear_error();
      size_t count = 0;
      if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count) != 1)
        return openssl_error("TLS write", Code::kUnavailable);
      bytes.remove_prefix(count);
    }
    return {};
  }

  // Reads more of the peer's records; 0 at the end of the stream.
  awaitable<Result<size_t>> fill() {
    std::vector<char> buffer(read_bytes_);
    auto count = co_await inner_->read(asio::buffer(buffer));
    if (!count || *count == 0) co_return count;
    BIO_write(in_, buffer.data(), static_cast<int>(*count));
    if (*count == buffer.size()) {
      read_bytes_ = std::min(kReadBytesMax, buffer.size() * 4);
    } else if (*count < kReadBytesMin) {
      read_bytes_ = kReadBytesMin;
    }
    co_return count;
  }

  // Sends what is encrypted. Reader and writer may both come here; one sends for both.
  awaitable<Result<void>> flush() {
    while (flushing_) co_await flushed_.wait();
    struct Guard {
      TlsStream& stream;
      ~Guard() {
        stream.flushing_ = false;
        stream.flushed_.notify();
      }
    } guard{*this};
    flushing_ = true;
    while (BIO_ctrl_pending(out_) > 0 && !broken_) {
      char* data = nullptr;
      const long size = BIO_get_mem_data(out_, &data);
      const std::string bytes(data, static_cast<size_t>(size));
      (void)BIO_reset(out_);
      broken_ = true;  // unless the write below ends well: half a record sent is the end of the stream
      auto sent = co_await inner_->Stream::write(std::string_view(bytes));
      if (!sent) co_return sent;
      broken_ = false;
    }
    if (broken_) co_return fail(Code::kUnavailable, "TLS write: the connection is broken");
    co_return Result<void>{};
  }

  std::unique_ptr<Stream> inner_;
  std::shared_ptr<const void> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  BIO* in_ = nullptr;   // owned by ssl_
  BIO* out_ = nullptr;
  async::Event flushed_;
  size_t read_bytes_;
  bool flushing_ = false, broken_ = false;
  std::string alpn_;
  std::optional<PeerCertificate> certificate_;
};

awaitable<Result<std::unique_ptr<Stream>>> shake_hands(std::unique_ptr<TlsStream> stream) {
  auto done = co_await stream->handshake();
  if (!done) co_return fail(done.error());
  co_return std::move(stream);
}

}  // namespace

struct TlsServerContext::Impl {
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_server_method()), SSL_CTX_free};
  std::vector<unsigned char> alpn;
  ClientCheck client_check;
};
TlsServerContext::TlsServerContext(std::unique_ptr<Impl> i) : impl(std::move(i)) {}
TlsServerContext::~TlsServerContext() = default;

Result<std::shared_ptr<const TlsServerContext>> TlsServerContext::make(const TlsServerOptions& options) {
  auto impl = std::make_unique<Impl>();
  SSL_CTX* context = impl->context.get();
  common_options(context);
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (auto used = use_versions(context, options); !used) return fail(used.error());
  if (auto used = use_identity(context, options.identity); !used) return fail(used.error());
  const TlsClientRules& rules = options.client_rules;
  const bool ruled = !rules.revocation_list.empty() || !rules.common_names.empty() || !rules.host_names.empty();
  if (ruled && (options.client_ca.empty() || !options.require_client_certificate))
    return fail(Code::kBadRequest, "rules for client certificates, but none is required");
  auto check = ClientCheck::make(rules);
  if (!check) return fail(check.error());
  impl->client_check = std::move(*check);
  if (!options.client_ca.empty()) {
    if (auto trusted = trust(context, options.client_ca); !trusted) return fail(trusted.error());
    auto authorities = read_certificates(options.client_ca);
    for (const auto& authority : *authorities) SSL_CTX_add_client_CA(context, authority.get());
    if (options.require_client_certificate) {
      impl->client_check.use(context);
    } else {
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER, accept_any);
    }
  }
  impl->alpn = alpn_wire(options.alpn);
  SSL_CTX_set_alpn_select_cb(context, choose_alpn, &impl->alpn);
  return std::make_shared<const TlsServerContext>(std::move(impl));
}

struct TlsClientContext::Impl {
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  std::string server_name;
  bool insecure = false;
};
TlsClientContext::TlsClientContext(std::unique_ptr<Impl> i) : impl(std::move(i)) {}
TlsClientContext::~TlsClientContext() = default;

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::make(const TlsClientOptions& options) {
  auto impl = std::make_unique<Impl>();
  SSL_CTX* context = impl->context.get();
  common_options(context);
  impl->server_name = options.server_name;
  impl->insecure = options.insecure;
  if (options.insecure) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  } else {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (options.server_ca.empty()) {
      SSL_CTX_set_default_verify_paths(context);
    } else if (auto trusted = trust(context, options.server_ca); !trusted) {
      return fail(trusted.error());
    }
  }
  if (!options.identity.certificate.empty()) {
    if (auto used = use_identity(context, options.identity); !used) return fail(used.error());
  }
  const auto wire = alpn_wire(options.alpn);
  if (!wire.empty()) SSL_CTX_set_alpn_protos(context, wire.data(), static_cast<unsigned>(wire.size()));
  return std::make_shared<const TlsClientContext>(std::move(impl));
}

awaitable<Result<std::unique_ptr<Stream>>> tls_accept(async::Loop& loop, std::unique_ptr<Stream> stream,
                                                      std::shared_ptr<const TlsServerContext> context, Duration timeout) {
  SSL* ssl = SSL_new(context->impl->context.get());
  if (!ssl) co_return openssl_error("TLS");
  SSL_set_accept_state(ssl);
  auto secured = std::make_unique<TlsStream>(loop, std::move(stream), ssl, context);
  co_return co_await async::with_timeout(loop, timeout, "TLS handshake", shake_hands(std::move(secured)));
}

awaitable<Result<std::unique_ptr<Stream>>> tls_connect(async::Loop& loop, std::unique_ptr<Stream> stream,
                                                       std::shared_ptr<const TlsClientContext> context,
                                                       const std::string& server_name, Duration timeout) {
  co_return co_await tls_connect_as(loop, std::move(stream), std::move(context), server_name, timeout, false);
}

awaitable<Result<std::unique_ptr<Stream>>> tls_connect_as(async::Loop& loop, std::unique_ptr<Stream> stream,
                                                          std::shared_ptr<const TlsClientContext> context,
                                                          std::string server_name, Duration timeout, bool only_http1) {
  SSL* ssl = SSL_new(context->impl->context.get());
  if (!ssl) co_return openssl_error("TLS");
  SSL_set_connect_state(ssl);
  if (only_http1) {
    const auto wire = alpn_wire({"http/1.1"});
    SSL_set_alpn_protos(ssl, wire.data(), static_cast<unsigned>(wire.size()));
  }
  const std::string name = context->impl->server_name.empty() ? server_name : context->impl->server_name;
  auto secured = std::make_unique<TlsStream>(loop, std::move(stream), ssl, context);
  if (!name.empty()) {
    boost::system::error_code not_literal;
    asio::ip::make_address(name, not_literal);
    if (not_literal) SSL_set_tlsext_host_name(ssl, name.c_str());
    if (!context->impl->insecure) {
      if (not_literal) {
        SSL_set1_host(ssl, name.c_str());
      } else {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str());
      }
    }
  }
  co_return co_await async::with_timeout(loop, timeout, "TLS handshake", shake_hands(std::move(secured)));
}

}  // namespace rs::net
