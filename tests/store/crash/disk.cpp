#include "disk.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>

#include "base/assert.h"

namespace rs::store::crash {
namespace {
namespace fs = std::filesystem;

fs::path parent_of_disks() {
  std::error_code ignored;
  const char* in_memory = "/dev/shm";
  if (fs::is_directory(in_memory, ignored) && ::access(in_memory, W_OK) == 0) return in_memory;
  return fs::canonical(fs::temp_directory_path());
}

const char* to_string(StepKind kind) {
  constexpr const char* kNames[] = {"write", "sync", "rename", "unlink", "create", "truncate"};
  return kNames[size_t(kind)];
}

}  // namespace

Disk::Disk() {
  std::string pattern = (parent_of_disks() / "store_crash.XXXXXX").string();
  ASSERT(::mkdtemp(pattern.data()) != nullptr);
  root_ = pattern;
  data_ = root_ / "data";
  fs::create_directory(data_);
  fs::create_directory(root_ / "trash");
  const int fd = ::open((root_ / "state").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT(fd >= 0 && ::ftruncate(fd, sizeof(DiskState)) == 0);
  void* mapped = ::mmap(nullptr, sizeof(DiskState), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  ASSERT(mapped != MAP_FAILED);
  state_ = static_cast<DiskState*>(mapped);
}

Disk::~Disk() {
  ::munmap(state_, sizeof(DiskState));
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

std::vector<std::string> Disk::environment() const {
  return {fmt::format("{}={}", kStateVariable, (root_ / "state").string()),
          fmt::format("{}={}", kDirectoryVariable, data_.string()),
          fmt::format("{}={}", kTrashVariable, (root_ / "trash").string())};
}

void Disk::plan(const FaultPlan& plan) {
  state_->plan = plan;
  state_->matched = state_->injected = 0;
  std::memset(state_->steps, 0, sizeof state_->steps);
}

namespace {

// The length reached the disk, and so did what is around some sectors, but not they. False: there
// is no room for that.
bool lose_sectors(const fs::path& path, int64_t synced, int64_t size, Random& random) {
  constexpr int64_t kSectorBytes = 512, kVisibleBytes = 64;  // fewer zeros than that prove nothing
  const int64_t first = (synced + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  if (size - first < kVisibleBytes) return false;
  const int64_t begin =
      first + kSectorBytes * random.between(0, (size - first - kVisibleBytes) / kSectorBytes);
  const int64_t end =
      std::min(size, begin + (random.chance(0.5) ? kSectorBytes : 8 * kSectorBytes));
  const std::string zeros(size_t(end - begin), '\0');
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT(fd >= 0 && ::pwrite(fd, zeros.data(), zeros.size(), begin) == ssize_t(zeros.size()));
  ::close(fd);
  return true;
}

}  // namespace

void Disk::cut_files(Random& random) {
  for (FileState& file : state_->files) {
    if (file.path[0] == 0) continue;
    const fs::path path = data_ / file.path;
    std::error_code error;
    const auto size = int64_t(fs::file_size(path, error));
    if (error) {
      file.path[0] = 0;  // unlinked: nobody can write to it again
      continue;
    }
    if (size > file.synced) {
      const uint64_t what = random.below(5);
      int64_t left = what < 2 ? size : what == 2 ? random.between(file.synced, size) : file.synced;
      if (what == 1 && !lose_sectors(path, file.synced, size, random)) left = file.synced;
      fs::resize_file(path, uintmax_t(left), error);
      ASSERT(!error);
    }
    // What is there now is what a disk has after a power failure.
    file.synced = int64_t(fs::file_size(path, error));
    file.poisoned = 0;
  }
}

void Disk::undo(const NameState& name) {
  std::error_code ignored;
  const fs::path path = data_ / name.path;
  const fs::path saved = root_ / "trash" / std::to_string(name.saved);
  if (name.kind == StepKind::kCreate) fs::remove(path, ignored);
  if (name.kind == StepKind::kRename) {
    fs::rename(data_ / name.to, path, ignored);
    if (name.saved != 0) fs::create_hard_link(saved, data_ / name.to, ignored);
  }
  if (name.kind == StepKind::kUnlink && name.saved != 0) fs::create_hard_link(saved, path, ignored);
}

void Disk::undo_names(size_t kept) {
  while (state_->name_count > kept) undo(state_->names[--state_->name_count]);
  state_->name_count = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root_ / "trash"))
    fs::remove(entry.path(), ignored);
}

void Disk::lose_power(Random& random) {
  cut_files(random);
  const uint64_t what = random.below(3);
  const uint32_t names = state_->name_count;
  undo_names(what == 0 ? names : what == 1 ? random.below(names + 1) : 0);
}

std::string Disk::unsynced() const {
  std::string out;
  for (const FileState& file : state_->files) {
    std::error_code error;
    const auto size = file.path[0] != 0 ? int64_t(fs::file_size(data_ / file.path, error)) : 0;
    if (size > file.synced && !error)
      out += fmt::format(" {}: {} of {}", file.path, file.synced, size);
  }
  for (uint32_t i = 0; i < state_->name_count; ++i)
    out += fmt::format(" {} {} {}", to_string(state_->names[i].kind), state_->names[i].path,
                       state_->names[i].to);
  return out;
}

const char* to_string(FaultKind kind) {
  constexpr const char* kNames[] = {"none",       "kill before", "kill after",
                                    "torn write", "ENOSPC",      "EIO"};
  return kNames[size_t(kind)];
}

std::string to_string(const FaultPlan& plan) {
  std::string out = plan.fault == FaultKind::kNone
                        ? "no fault"
                        : fmt::format("{} at step {} of", to_string(plan.fault), plan.step);
  for (uint32_t i = 0; i < kStepKinds; ++i) {
    if ((plan.kinds >> i & 1) != 0) out += fmt::format(" {}", to_string(StepKind(i)));
  }
  if (plan.file[0] != 0) out += fmt::format(" on {}", plan.file);
  if (plan.count != 1) out += fmt::format(", {} times", plan.count);
  if (plan.sync_us != 0) out += fmt::format(", syncs {} us slower", plan.sync_us);
  return out;
}

}  // namespace rs::store::crash
