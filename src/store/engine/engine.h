// Engine: ordered bytes on disk, written in atomic batches. Knows nothing of revisions (store/mvcc/record.h does).
//
// write() is called by one thread at a time; get(), scan() and the rest from another at the same time. Errors:
// kDataLoss (damaged or unreadable), kResourceExhausted (the disk is full), kUnavailable (other I/O errors). After a
// failed write() every later write() fails until resume() succeeded. Until then nobody knows whether what failed is on
// disk; after it, nothing of it is.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rs::store::engine {

// What one write() does, in order. A value; keeps its own copy of all bytes in one buffer.
class Batch {
 public:
  struct Op {
    std::string_view key, value;
    bool erase = false;
  };
  void put(std::string_view key, std::string_view value) { add(key, value, false); }
  void erase(std::string_view key) { add(key, {}, true); }
  bool empty() const { return ops_.empty(); }
  size_t size() const { return ops_.size(); }
  size_t bytes() const { return bytes_.size(); }
  void clear() {
    ops_.clear();
    bytes_.clear();
  }
  Op op(size_t i) const {
    const Position& p = ops_[i];
    std::string_view all(bytes_);
    return {all.substr(p.offset, p.key), all.substr(p.offset + p.key, p.value), p.erase};
  }

 private:
  struct Position {
    size_t offset;
    uint32_t key, value;
    bool erase;
  };
  void add(std::string_view key, std::string_view value, bool erase) {
    ops_.push_back({bytes_.size(), uint32_t(key.size()), uint32_t(value.size()), erase});
    bytes_.append(key).append(value);
  }
  std::vector<Position> ops_;
  std::string bytes_;
};

// The keys of a range in order. Not valid(): at the end, or damaged, as status() says. The views live until next().
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual bool valid() const = 0;
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  virtual void next() = 0;
  virtual Result<void> status() const = 0;
};

// Everything as it was when the view was made, whatever is written since. Used, with its cursors, by one thread at a
// time, which need not be the one that made it; gone before the engine is.
class View {
 public:
  virtual ~View() = default;
  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  // Of [from, to), which begin with the same byte. Gone before the view is.
  virtual std::unique_ptr<Cursor> cursor(std::string_view from, std::string_view to) const = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  // All or nothing; when sync, on disk before it returns (exactly one fsync).
  virtual Result<void> write(const Batch& batch, bool sync) = 0;
  // Nothing when the key is not there.
  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  // Keys of [from, to) in order until visit says false; the views live only during the call. All begin with the same
  // byte: engines may keep keys of different first bytes apart. A whole damaged table may be passed over (RocksDB 7.8 does
  // when it comes to one from the table before): whoever scans must notice what is missing, as get() does.
  virtual Result<void> scan(std::string_view from, std::string_view to,
                            const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
  // Here: a copy of everything, which is for small engines.
  virtual Result<std::unique_ptr<View>> view() const;
  virtual int64_t bytes_on_disk() const = 0;
  virtual Result<void> resume() = 0;
  // Closes the files; only destruction may follow.
  virtual void shutdown() {}
  // Asks for the space of erased keys back, in the background.
  virtual void tidy() {}
};

// Nothing on disk; for tests and throw-away stores.
std::unique_ptr<Engine> make_memory_engine();

}  // namespace rs::store::engine
