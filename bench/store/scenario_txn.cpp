// The write of every Kubernetes update: put the key if it has not changed since I read it.
#include <vector>

#include "scenario.h"
#include "store/etcd/client_messages.h"
#include "store/etcd/wire.h"

namespace rs::bench {
namespace {

// header.revision and succeeded of a TxnResponse.
store::Revision written_revision(std::string_view answer) {
  store::Revision revision = 0;
  bool succeeded = false;
  store::etcd::Reader reader(answer);
  while (reader.next()) {
    if (reader.field() == 2) succeeded = reader.boolean();
    if (reader.field() != 1) continue;
    store::etcd::Reader header(reader.text());
    while (header.next()) {
      if (header.field() == 3) revision = header.signed_number();
    }
  }
  if (!reader.ok() || !succeeded)
    throw BenchError("a transaction's compare failed: a write was lost or invented");
  return revision;
}

void txn_put(const Options& options, ServerProcess& server, Figures& figures) {
  std::vector<store::Revision> revisions(options.clients);
  ClosedLoad load;
  load.path = kTxnPath;
  load.connections = options.connections;
  load.clients = options.clients;
  load.seconds = options.seconds;
  load.warm_up_seconds = options.seconds / 10;
  load.next = [&, values = Values(options.value_bytes)](uint32_t client, std::string& out) mutable {
    store::TxnRequest txn;
    std::string key = bench_key(client);
    txn.compares.push_back({.key = key, .number = revisions[client]});
    txn.success.emplace_back(store::PutRequest{.key = key, .value = std::string(values.next())});
    txn.failure.emplace_back(store::RangeRequest{.key = key});
    out = store::etcd::encode(txn);
  };
  load.answered = [&](uint32_t client, std::string_view answer) {
    revisions[client] = written_revision(answer);
  };
  run_load(server, load, &figures);
}

}  // namespace

std::vector<Scenario> txn_scenarios() {
  return {
      {"txn", "txns of one compare (mod_revision) and one put, each client its own key", txn_put}};
}

}  // namespace rs::bench
