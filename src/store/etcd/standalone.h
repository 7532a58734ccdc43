// `roadstead store`: the embedded store as a server of its own, in the place of a single etcd.
#pragma once

#include <memory>

#include "base/metrics.h"
#include "net/grpc.h"
#include "store/embedded.h"
#include "store/etcd/flags.h"
#include "store/etcd/service.h"
#include "store/etcd/tls_files.h"

namespace rs::store::etcd {

// The whole command: argv without the subcommand's name. Serves until SIGTERM or SIGINT; the process's exit status.
int run_store(int argc, const char* const* argv);

// The server itself, for who brings a loop. start() fails when the directory or a port is taken.
class Standalone {
 public:
  Standalone(async::Loop& loop, StandaloneOptions options);
  ~Standalone();
  awaitable<Result<void>> start();
  awaitable<void> stop();
  // Where the first client listener listens (port 0 in the options: any free one).
  net::Address client_address() const { return client_address_; }
  Embedded& store() { return *store_; }

 private:
  Result<void> prepare_tls();
  Result<void> listen_for_clients();
  Result<void> listen_for_metrics();
  Result<std::unique_ptr<net::Listener>> listen(const Url& url, std::string_view what);
  template <class Options>
  void secure(const Url& url, Options& options);
  Result<std::shared_ptr<auth::Tokens>> make_tokens() const;
  awaitable<void> compact_by_time();
  awaitable<void> compact_by_revision();
  awaitable<void> compact_to(Revision revision);

  async::Loop& loop_;
  StandaloneOptions options_;
  metrics::Registry metrics_;
  std::unique_ptr<TlsFiles> tls_files_;
  net::TcpNetwork network_;
  std::unique_ptr<Embedded> store_;
  std::unique_ptr<EtcdService> service_;
  std::unique_ptr<net::grpc::Server> plain_, secure_;
  std::unique_ptr<net::HttpServer> plain_metrics_, secure_metrics_;  // of listen_metrics_urls: the API is not served there
  net::Address client_address_;
  async::TaskGroup tasks_;
};

}  // namespace rs::store::etcd
