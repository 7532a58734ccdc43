// Any contents in the form of a snapshot, with any bytes of its pages changed, are summarized and
// restored, or refused; what was restored can be read back.
#include <sys/mman.h>
#include <unistd.h>

#include <map>

#include "base/assert.h"
#include "store/mvcc/record.h"
#include "store/snapshot/bbolt_writer.h"
#include "store/snapshot/snapshot.h"

namespace {
using namespace rs::store;

class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint8_t byte() {
    if (empty()) return 0;
    const auto out = uint8_t(bytes_.front());
    bytes_.remove_prefix(1);
    return out;
  }
  std::string text(size_t size) {
    std::string out(bytes_.substr(0, size));
    bytes_.remove_prefix(out.size());
    return out;
  }

 private:
  std::string_view bytes_;
};

constexpr const char* kBuckets[] = {"alarm",   "auth", "authRoles", "authUsers",
                                    "cluster", "key",  "lease",     "meta"};

std::string read_all(int fd, uint64_t bytes) {
  std::string out(bytes, 0);
  ASSERT(::pread(fd, out.data(), out.size(), 0) == ssize_t(bytes));
  return out;
}

// Entries of: a bucket, a key and its value, each with its length before it. A key of the bucket
// "key" is a revision: written as one, so that inputs need not guess its form.
std::string written(Input& input) {
  std::map<std::string, std::map<std::string, std::string>> buckets;
  for (int count = input.byte() % 64; count > 0 && !input.empty(); --count) {
    const std::string bucket = kBuckets[input.byte() % std::size(kBuckets)];
    std::string key = input.text(input.byte() % 32);
    if (bucket == "key" && key.size() < 3) {
      std::string revision(8, 0);
      revision[7] = char(input.byte() & 0x7f);
      key = revision + "_" + std::string(7, 0) + char(input.byte() % 4) +
            (key.size() == 1 ? "t" : "");
    }
    if (!key.empty()) buckets[bucket][key] = input.text(input.byte());
  }
  static const int file = ::memfd_create("snapshot", MFD_CLOEXEC);
  ASSERT(::ftruncate(file, 0) == 0 && ::lseek(file, 0, SEEK_SET) == 0);
  snapshot::BboltWriter writer(file);
  for (const auto& [name, keys] : buckets) {
    ASSERT(writer.begin_bucket(name));
    for (const auto& [key, value] : keys) ASSERT(writer.put(key, value));
    ASSERT(writer.end_bucket());
  }
  auto bytes = writer.finish();
  ASSERT(bytes);
  return read_all(file, *bytes);
}

void check_restored(const engine::Engine& engine) {
  auto scanned = engine.scan("i", "j", [](std::string_view key, std::string_view value) {
    ASSERT(mvcc::parse_record(key, value), "a record that was restored is one");
    return true;
  });
  ASSERT(scanned);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input({reinterpret_cast<const char*>(data), size});
  const int changes = input.byte() % 8;
  std::string changed;
  for (int i = 0; i < changes; ++i) changed += input.text(3);
  std::string database = written(input);
  for (size_t i = 0; i + 3 <= changed.size(); i += 3) {
    const size_t at = uint8_t(changed[i]) * 256 + uint8_t(changed[i + 1]);
    database[at % database.size()] ^= changed[i + 2];
  }
  auto source = snapshot::in_memory(database);
  auto reader = snapshot::BboltReader::open(*source, database.size());
  if (!reader) return 0;
  (void)snapshot::verified_bytes(*source, true);
  (void)snapshot::summarize(*reader);
  auto engine = engine::make_memory_engine();
  if (snapshot::restore(*reader, *engine, {.cluster_id = 1, .member_id = 2}))
    check_restored(*engine);
  return 0;
}
