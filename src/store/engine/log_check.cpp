#include "store/engine/log_check.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "base/log.h"

namespace rs::store::engine {
namespace {

constexpr size_t kBlockBytes = 32 << 10, kHeaderBytes = 7, kSectorBytes = 512;
constexpr uint64_t kLogBytesMax = 1ull << 30;

// CRC-32C, eight bytes at a time.
class Crc {
 public:
  Crc() {
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0);
      table_[0][i] = value;
    }
    for (size_t k = 1; k < 8; ++k) {
      for (size_t i = 0; i < 256; ++i)
        table_[k][i] = table_[k - 1][i] >> 8 ^ table_[0][table_[k - 1][i] & 0xff];
    }
  }
  uint32_t of(std::string_view bytes) const {
    uint32_t crc = ~0u;
    const char* at = bytes.data();
    size_t left = bytes.size();
    for (; left >= 8; left -= 8, at += 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      word ^= crc;
      crc = 0;
      for (size_t k = 0; k < 8; ++k) crc ^= table_[7 - k][word >> (8 * k) & 0xff];
    }
    for (; left > 0; --left, ++at) crc = crc >> 8 ^ table_[0][uint8_t(crc) ^ uint8_t(*at)];
    return ~crc;
  }

 private:
  std::array<std::array<uint32_t, 256>, 8> table_;
};

uint32_t masked(uint32_t crc) {
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

bool zero(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char c) { return c == 0; });
}

class LogCheck {
 public:
  explicit LogCheck(std::string_view bytes) : bytes_(bytes) {}

  struct Finding {
    enum class Kind { kWhole, kTorn, kDamaged } kind = Kind::kWhole;
    uint64_t at = 0;
    bool cut = false;  // torn in a way that RocksDB would not forgive
  };

  Finding run() const {
    uint64_t at = 0;
    while (at < bytes_.size()) {
      const size_t left_in_block = kBlockBytes - at % kBlockBytes;
      if (left_in_block < kHeaderBytes) {
        at += left_in_block;
        continue;
      }
      size_t length = valid_record(at);
      if (length == 0) return judge(at);
      at += length;
    }
    return {};
  }

 private:
  uint64_t block_end(uint64_t at) const {
    return std::min<uint64_t>(bytes_.size(), at - at % kBlockBytes + kBlockBytes);
  }
  uint32_t crc_at(uint64_t at) const {
    uint32_t crc;
    std::memcpy(&crc, bytes_.data() + at, 4);
    return crc;
  }
  size_t length_at(uint64_t at) const {
    return size_t(uint8_t(bytes_[at + 4])) | size_t(uint8_t(bytes_[at + 5])) << 8;
  }

  // Its bytes with the header; 0: there is none.
  size_t valid_record(uint64_t at) const {
    if (at + kHeaderBytes > block_end(at)) return 0;
    const size_t length = length_at(at);
    const auto type = uint8_t(bytes_[at + 6]);
    if (type < 1 || type > 4 || at + kHeaderBytes + length > block_end(at)) return 0;
    return masked(crc_.of(bytes_.substr(at + 6, 1 + length))) == crc_at(at) ? kHeaderBytes + length
                                                                            : 0;
  }

  // Types 1 and 2: a whole record, or its first part. 3 and 4 go on with one.
  bool begins_record(uint64_t at) const { return uint8_t(bytes_[at + 6]) <= 2; }

  // No record can be read at this place.
  Finding judge(uint64_t at) const {
    using Kind = Finding::Kind;
    const std::string_view rest = bytes_.substr(at);
    if (zero(rest)) return {Kind::kTorn, at};
    for (uint64_t later = at + 1; later + kHeaderBytes <= bytes_.size(); ++later) {
      // The rest of the same record may have reached the disk before this part of it.
      if (valid_record(later) != 0 && begins_record(later)) return {Kind::kDamaged, at};
    }
    if (at + kHeaderBytes > block_end(at)) return {Kind::kTorn, at};
    const bool last_block = block_end(at) == bytes_.size();
    const bool cut_off = at + kHeaderBytes + length_at(at) > bytes_.size();
    // A record whose bytes are all there says that they are more: its length was changed.
    const bool length_changed = masked(crc_.of(bytes_.substr(at + 6))) == crc_at(at);
    const auto type = uint8_t(bytes_[at + 6]);
    if (last_block && cut_off && !length_changed && type >= 1 && type <= 4)
      return {Kind::kTorn, at};
    for (uint64_t sector = at - at % kSectorBytes; sector < block_end(at); sector += kSectorBytes) {
      uint64_t begin = std::max(sector, at),
               end = std::min<uint64_t>(block_end(at), sector + kSectorBytes);
      if (end - begin >= 64 && zero(bytes_.substr(begin, end - begin)))
        return {Kind::kTorn, at, true};
    }
    return {Kind::kDamaged, at};
  }

  static inline const Crc crc_;
  const std::string_view bytes_;
};

Result<std::string> read_file(const std::filesystem::path& path) {
  std::error_code ec;
  const uint64_t size = std::filesystem::file_size(path, ec);
  if (ec) return fail(Code::kDataLoss, "{}: {}", path.string(), ec.message());
  if (size > kLogBytesMax)
    return fail(Code::kDataLoss, "{}: {} bytes cannot be a log", path.string(), size);
  std::string bytes(size, '\0');
  std::ifstream in(path, std::ios::binary);
  if (!in.read(bytes.data(), std::streamsize(size)))
    return fail(Code::kUnavailable, "cannot read {}", path.string());
  return bytes;
}

Result<void> check_log(const std::filesystem::path& path) {
  auto bytes = read_file(path);
  if (!bytes) return fail(bytes.error());
  auto finding = LogCheck(*bytes).run();
  using Kind = LogCheck::Finding::Kind;
  if (finding.kind == Kind::kDamaged)
    return fail(Code::kDataLoss, "{} is damaged at byte {} of {}: restore a snapshot",
                path.string(), finding.at, bytes->size());
  if (finding.kind == Kind::kTorn && finding.cut) {
    log::warning(
        "store", "the last record of a log was not written wholly: cut off",
        {{"file", path.string()}, {"at", int64_t(finding.at)}, {"bytes", int64_t(bytes->size())}});
    std::error_code ec;
    std::filesystem::resize_file(path, finding.at, ec);
    if (ec) return fail(Code::kUnavailable, "cannot shorten {}: {}", path.string(), ec.message());
  }
  return {};
}

}  // namespace

Result<void> check_logs(const std::filesystem::path& directory) {
  std::error_code ec;
  std::vector<std::filesystem::path> logs;
  bool data = false;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ec)) {
    const auto extension = entry.path().extension();
    if (extension == ".log") logs.push_back(entry.path());
    std::error_code gone;
    data |= (extension == ".log" || extension == ".sst") && entry.file_size(gone) > 0 && !gone;
  }
  if (ec) return {};  // no database yet; what cannot be read is told by who opens it
  const auto current = directory / "CURRENT";
  if (!std::filesystem::exists(current, ec)) {
    if (data) return fail(Code::kDataLoss, "{} is missing, but there are data", current.string());
    return {};
  }
  auto name = read_file(current);
  if (!name) return fail(name.error());
  if (!name->starts_with("MANIFEST-") || !name->ends_with('\n') ||
      name->find('/') != std::string::npos)
    return fail(Code::kDataLoss, "{} does not name a manifest", current.string());
  name->pop_back();
  if (auto checked = check_log(directory / *name); !checked) return checked;
  std::ranges::sort(logs);
  for (const auto& path : logs) {
    if (auto checked = check_log(path); !checked) return checked;
  }
  return {};
}

}  // namespace rs::store::engine
