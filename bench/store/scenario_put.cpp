// Puts: many clients, and one.
#include "scenario.h"
#include "store/etcd/client_messages.h"

namespace rs::bench {
namespace {

ClosedLoad puts(const Options& options, uint32_t connections, uint32_t clients) {
  ClosedLoad load;
  load.path = kPutPath;
  load.connections = connections;
  load.clients = clients;
  load.seconds = options.seconds;
  load.warm_up_seconds = options.seconds / 10;
  uint64_t random = 7, number = 0;
  std::string message = store::etcd::encode(
      store::PutRequest{.key = bench_key(0), .value = random_bytes(options.value_bytes, 1)});
  // The key is 8 bytes after a tag and a length; the value ends the message.
  load.next = [=, values = Values(options.value_bytes), sequential = options.sequential,
               keys = options.keys](uint32_t, std::string& out) mutable {
    out = message;
    out.replace(2, 8, bench_key((sequential ? number++ : next_random(random)) % keys));
    std::string_view value = values.next();
    out.replace(out.size() - value.size(), value.size(), value);
  };
  return load;
}

void put_many(const Options& options, ServerProcess& server, Figures& figures) {
  run_load(server, puts(options, options.connections, options.clients), &figures);
}

void put_one(const Options& options, ServerProcess& server, Figures& figures) {
  run_load(server, puts(options, 1, 1), &figures);
}

}  // namespace

std::vector<Scenario> put_scenarios() {
  return {{"put", "puts by many clients", put_many},
          {"put-one-client", "puts by one client", put_one}};
}

}  // namespace rs::bench
