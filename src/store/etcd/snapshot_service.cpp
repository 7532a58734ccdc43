// Maintenance/Snapshot of EtcdService (reference etcd-api.md A.8): a bbolt file in etcd's layout, in blobs.
//
// A view of one moment is written to a file without a name by a thread of its own, and sent from there: the loop neither
// waits nor holds the snapshot in memory, and a slow client holds up nobody.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include <openssl/evp.h>

#include "async/event.h"
#include "store/etcd/service.h"
#include "store/mvcc/errors.h"
#include "store/snapshot/snapshot.h"

namespace rs::store::etcd {
namespace {

using net::grpc::Status;

constexpr size_t kBlobBytes = 32 << 10;      // etcd's
constexpr size_t kReadBytes = 8 * kBlobBytes;
constexpr off_t kFreedBytes = 1 << 20;
constexpr int kSnapshotsAtOnce = 4;

// A file that nobody else sees, and that is gone with its last user: not on the loop, for freeing its blocks takes time.
struct HiddenFile {
  int fd = -1;
  HiddenFile() = default;
  HiddenFile(const HiddenFile&) = delete;
  HiddenFile& operator=(const HiddenFile&) = delete;
  ~HiddenFile() {
    if (fd < 0) return;
    // Step by step: a file system that tells the disk which blocks are free has everybody wait meanwhile.
    struct stat file;
    off_t size = ::fstat(fd, &file) == 0 ? file.st_size : 0;
    while (size > 0 && ::ftruncate(fd, size = std::max<off_t>(0, size - kFreedBytes)) == 0) continue;
    ::close(fd);
  }
  Result<void> open(const std::filesystem::path& directory) {
    fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
      // Not every file system has files without names.
      std::string path = (directory / "snapshot-XXXXXX").string();
      fd = ::mkostemp(path.data(), O_CLOEXEC);
      if (fd >= 0) ::unlink(path.c_str());
    }
    if (fd < 0)
      return fail(Code::kUnavailable, "cannot make a file in {}: {}", directory.string(), std::strerror(errno));
    return {};
  }
};

// What the thread makes, shared with it because the call may end first.
struct Work {
  HiddenFile file;
  std::unique_ptr<engine::View> view;
  snapshot::Member member;
  std::atomic<bool> abandoned = false;
  Result<uint64_t> bytes = uint64_t(0);
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

awaitable<void> off_loop(async::Loop& loop, engine::Worker& worker, std::move_only_function<void()> work) {
  struct Slot {
    explicit Slot(async::Loop& l) : ready(l) {}
    bool done = false;
    async::Event ready;
  };
  auto slot = std::make_shared<Slot>(loop);
  worker.run(std::move(work), [slot] {
    slot->done = true;
    slot->ready.notify();
  });
  while (!slot->done) co_await slot->ready.wait();
}

std::string blob_message(uint64_t remaining, std::string_view blob) {
  Writer out;
  out.reserve(blob.size() + 32);
  out.number(2, remaining);
  out.bytes(3, blob);
  out.bytes(4, snapshot::kStorageVersion);
  return out.take();
}

// The next bytes of the file, added to the checksum.
std::string read_next(Work& work, uint64_t offset, size_t size) {
  std::string bytes(size, 0);
  for (size_t done = 0; done < size;) {
    const ssize_t count = ::pread(work.file.fd, bytes.data() + done, size - done, off_t(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return {};
    done += size_t(count);
  }
  EVP_DigestUpdate(work.digest.get(), bytes.data(), bytes.size());
  return bytes;
}

}  // namespace

awaitable<Status> EtcdService::snapshot(net::grpc::ServerStream& stream) {
  auto message = co_await stream.read();
  if (!message) co_return to_status(message.error());
  if (snapshots_ >= kSnapshotsAtOnce) co_return to_status(errors::too_many_requests());
  struct Count {
    int& count;
    explicit Count(int& c) : count(c) { ++count; }
    ~Count() { --count; }
  } counted(snapshots_);

  const MonoTime began = loop_.now();
  auto work = std::make_shared<Work>();
  struct Abandon {
    std::shared_ptr<Work>& work;
    engine::Worker& worker;
    ~Abandon() {
      work->abandoned = true;
      worker.run([last = std::move(work)]() mutable { last.reset(); }, [] {});
    }
  } abandon{work, *snapshot_worker_};
  auto view = store_.view();
  if (!view) co_return to_status(view.error());
  work->view = std::move(*view);
  work->member = {ids_.member, options_.name, options_.peer_urls, options_.client_urls};
  if (auto opened = work->file.open(options_.scratch_directory); !opened) co_return to_status(opened.error());
  EVP_DigestInit_ex(work->digest.get(), EVP_sha256(), nullptr);
  co_await off_loop(loop_, *snapshot_worker_, [work] {
    if (!work->abandoned) work->bytes = snapshot::write_database(*work->view, work->member, work->file.fd, work->abandoned);
    work->view.reset();
  });
  if (!work->bytes) co_return to_status(work->bytes.error());
  if (latencies_.snapshot != nullptr)
    latencies_.snapshot->observe(std::chrono::duration<double>(loop_.now() - began).count());

  const uint64_t total = *work->bytes;
  for (uint64_t sent = 0; sent < total;) {
    auto part = std::make_shared<std::string>();
    const size_t size = size_t(std::min<uint64_t>(kReadBytes, total - sent));
    co_await off_loop(loop_, *snapshot_worker_, [work, sent, size, part] { *part = read_next(*work, sent, size); });
    const std::string& bytes = *part;
    if (bytes.empty()) co_return Status{net::grpc::StatusCode::kUnavailable, "the snapshot cannot be read back"};
    for (size_t i = 0; i < bytes.size(); i += kBlobBytes) {
      const std::string_view blob = std::string_view(bytes).substr(i, kBlobBytes);
      sent += blob.size();
      auto written = co_await stream.write(std::make_shared<const std::string>(blob_message(total - sent, blob)));
      if (!written) co_return to_status(written.error());
    }
  }
  std::string checksum(snapshot::kChecksumBytes, 0);
  EVP_DigestFinal_ex(work->digest.get(), reinterpret_cast<unsigned char*>(checksum.data()), nullptr);
  auto written = co_await stream.write(std::make_shared<const std::string>(blob_message(0, checksum)));
  if (!written) co_return to_status(written.error());
  co_return Status{};
}

}  // namespace rs::store::etcd
