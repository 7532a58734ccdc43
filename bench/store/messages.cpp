// Keys, values, and filling a store.
#include "scenario.h"
#include "store/etcd/client_messages.h"

namespace rs::bench {

Values::Values(size_t bytes) : pool_(random_bytes(kOffsets + bytes, 1)), bytes_(bytes) {}

void bulk_load(ServerProcess& server, uint64_t keys, size_t value_bytes, int rounds,
               const std::function<std::string(uint64_t number)>& key) {
  constexpr uint64_t kPutsPerTxn = 32;
  ClosedLoad load;
  load.path = kTxnPath;
  load.connections = 8;
  load.clients = 32;
  const uint64_t txns_per_round = (keys + kPutsPerTxn - 1) / kPutsPerTxn;
  load.operations = txns_per_round * uint64_t(rounds);
  uint64_t number = 0;
  load.next = [&, values = Values(value_bytes)](uint32_t, std::string& out) mutable {
    store::TxnRequest txn;
    for (uint64_t first = number++ % txns_per_round * kPutsPerTxn, i = first;
         i < std::min(first + kPutsPerTxn, keys); ++i)
      txn.success.emplace_back(
          store::PutRequest{.key = key(i), .value = std::string(values.next())});
    out = store::etcd::encode(txn);
  };
  run_load(server, load, nullptr);
}

std::string random_bytes(size_t bytes, uint64_t seed) {
  std::string out(bytes, 0);
  for (char& c : out) c = char(next_random(seed));
  return out;
}

// binary.PutVarint into 8 zero bytes, as `benchmark put` does.
std::string bench_key(uint64_t number) {
  std::string key(8, 0);
  uint64_t value = number << 1;
  size_t i = 0;
  for (; value >= 0x80 && i < 7; value >>= 7) key[i++] = char(value | 0x80);
  key[i] = char(value & 0x7f);
  return key;
}

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
uint64_t next_random(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace rs::bench
