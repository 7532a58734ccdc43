// RangeAnswer: the answer to a Range of many keys, in parts, so that neither a long read holds up the loop nor a large
// answer the memory: the index is walked in slices, values are read in the store's reading thread, and no more is read
// while the client has not taken what was sent. All of one revision, which compaction spares meanwhile.
#pragma once

#include <memory>
#include <string>

#include "store/embedded.h"
#include "store/etcd/messages.h"

namespace rs::store::etcd {

class RangeAnswer {
 public:
  // Whether request is one for this: natural order, no filters, and more keys than are worth answering at once.
  static bool suits(const RangeRequest& request, Embedded& store);

  // An error: what Range answers at once (compacted, future revision, …).
  static Result<std::unique_ptr<RangeAnswer>> begin(async::Loop& loop, Embedded& store, RangeRequest request);

  Revision revision() const { return revision_; }  // of the store when it began
  int64_t count() const { return count_; }
  bool more() const { return more_; }
  // Bytes of all parts together.
  awaitable<size_t> measure();
  // The next key-values, as elements of RangeResponse.kvs; empty: there are no more.
  awaitable<Result<std::string>> next();

 private:
  struct Entry {
    std::string key;
    mvcc::Version version;
  };
  RangeAnswer(async::Loop& loop, Embedded& store, RangeRequest request);
  // Entries of the range from key on, at most keys and about bytes; key becomes where to go on.
  std::vector<Entry> slice(std::string& key, int64_t& left, size_t keys, size_t bytes) const;

  async::Loop& loop_;
  Embedded& store_;
  RangeRequest request_;
  std::shared_ptr<const void> pin_;
  Revision revision_ = 0, at_ = 0;
  int64_t count_ = 0, left_ = 0;  // left_: keys that the limit still lets through
  bool more_ = false;
};

}  // namespace rs::store::etcd
