// Buffer: bytes read and not yet used. Holds no memory while it is empty and released. One loop.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include <boost/asio/buffer.hpp>

namespace rs::mesh {

class Buffer {
 public:
  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  void consume(size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  // Room for at least minimum more bytes.
  boost::asio::mutable_buffer prepare(size_t minimum) {
    if (capacity_ - end_ < minimum) {
      size_t used = size();
      if (capacity_ - used >= minimum) {
        std::memmove(data_.get(), data_.get() + begin_, used);
      } else {
        size_t capacity = std::max(used + minimum, capacity_ * 2);
        std::unique_ptr<char[]> next(new char[capacity]);
        if (used > 0) std::memcpy(next.get(), data_.get() + begin_, used);
        data_ = std::move(next);
        capacity_ = capacity;
      }
      begin_ = 0;
      end_ = used;
    }
    return {data_.get() + end_, capacity_ - end_};
  }
  void commit(size_t count) { end_ += count; }
  // Gives back what is larger than keep, when nothing is held.
  void release(size_t keep = 0) {
    if (!empty() || capacity_ <= keep) return;
    data_.reset();
    capacity_ = begin_ = end_ = 0;
  }

 private:
  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace rs::mesh
