#include <map>

#include "store/engine/engine.h"

namespace rs::store::engine {
namespace {

using Map = std::map<std::string, std::string, std::less<>>;

class MapCursor final : public Cursor {
 public:
  MapCursor(const Map& map, std::string_view from, std::string to)
      : it_(map.lower_bound(from)), end_(from < to ? map.lower_bound(to) : it_) {}
  bool valid() const override { return it_ != end_; }
  std::string_view key() const override { return it_->first; }
  std::string_view value() const override { return it_->second; }
  void next() override { ++it_; }
  Result<void> status() const override { return {}; }

 private:
  Map::const_iterator it_, end_;
};

// A copy: what is in memory is small.
class MapView final : public View {
 public:
  explicit MapView(Map map) : map_(std::move(map)) {}
  Result<std::optional<std::string>> get(std::string_view key) const override {
    auto it = map_.find(key);
    if (it == map_.end()) return std::optional<std::string>();
    return std::optional<std::string>(it->second);
  }
  std::unique_ptr<Cursor> cursor(std::string_view from, std::string_view to) const override {
    return std::make_unique<MapCursor>(map_, from, std::string(to));
  }

 private:
  const Map map_;
};

class MemoryEngine final : public Engine {
 public:
  Result<void> write(const Batch& batch, bool) override {
    for (size_t i = 0; i < batch.size(); ++i) {
      Batch::Op op = batch.op(i);
      if (op.erase) {
        auto it = map_.find(op.key);
        if (it == map_.end()) continue;
        bytes_ -= int64_t(it->first.size() + it->second.size());
        map_.erase(it);
      } else {
        auto [it, added] = map_.try_emplace(std::string(op.key));
        bytes_ += int64_t(op.value.size()) - int64_t(it->second.size()) + (added ? int64_t(op.key.size()) : 0);
        it->second = op.value;
      }
    }
    return {};
  }
  Result<std::optional<std::string>> get(std::string_view key) const override {
    auto it = map_.find(key);
    if (it == map_.end()) return std::optional<std::string>();
    return std::optional<std::string>(it->second);
  }
  Result<void> scan(std::string_view from, std::string_view to,
                    const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    for (auto it = map_.lower_bound(from); it != map_.end() && std::string_view(it->first) < to; ++it) {
      if (!visit(it->first, it->second)) break;
    }
    return {};
  }
  Result<std::unique_ptr<View>> view() const override { return std::unique_ptr<View>(new MapView(map_)); }
  int64_t bytes_on_disk() const override { return bytes_; }
  Result<void> resume() override { return {}; }

 private:
  // The store writes inline when nothing is on disk, so there is one thread.
  Map map_;
  int64_t bytes_ = 0;
};

}  // namespace

Result<std::unique_ptr<View>> Engine::view() const {
  Map copy;
  for (int first = 0; first < 256; ++first) {
    // One kind of key after the other, as scan() asks.
    const std::string from(1, char(first)), to = first < 255 ? std::string(1, char(first + 1)) : std::string(64, '\xff');
    auto scanned = scan(from, to, [&](std::string_view key, std::string_view value) {
      copy.emplace(key, value);
      return true;
    });
    if (!scanned) return fail(scanned.error());
  }
  return std::unique_ptr<View>(new MapView(std::move(copy)));
}

std::unique_ptr<Engine> make_memory_engine() { return std::make_unique<MemoryEngine>(); }

}  // namespace rs::store::engine
