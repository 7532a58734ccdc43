#include "store/etcd/messages.h"

#include "store/mvcc/errors.h"
#include "store/mvcc/validate.h"

namespace rs::store::etcd {
namespace {

// A nested transaction costs at least one of 128 operations a level, so deeper ones are refused anyway.
constexpr int kMaxTxnDepth = 130;
// A compare or an operation takes 2 bytes on the wire and a hundred times that here: what mvcc::check() would refuse for
// its number anyway is not read.
constexpr size_t kMaxTxnList = 2 * mvcc::kAnyOps;
constexpr size_t kMaxFields = 10'000;

Error malformed() {
  return {Code::kInternalError, "grpc: error unmarshalling request: the message is not valid protobuf"};
}

// Enumerations are 32 bits of the varint; what the API does not name becomes one more than its last.
template <class T>
T enum_of(uint64_t value, uint32_t last) {
  return T(std::min(uint32_t(value), last + 1));
}

Result<void> read_range(std::string_view message, RangeRequest& out) {
  Reader in(message);
  uint64_t order = 0, target = 0;
  while (in.next()) {
    switch (in.field()) {
      case 1: out.key = in.text(); break;
      case 2: out.range_end = in.text(); break;
      case 3: out.limit = in.signed_number(); break;
      case 4: out.revision = in.signed_number(); break;
      case 5: order = in.number(); break;
      case 6: target = in.number(); break;
      case 7: out.serializable = in.boolean(); break;
      case 8: out.keys_only = in.boolean(); break;
      case 9: out.count_only = in.boolean(); break;
      case 10: out.min_mod_revision = in.signed_number(); break;
      case 11: out.max_mod_revision = in.signed_number(); break;
      case 12: out.min_create_revision = in.signed_number(); break;
      case 13: out.max_create_revision = in.signed_number(); break;
      default: break;
    }
  }
  if (!in.ok()) return fail(malformed());
  // mvcc::check() refuses what is not of the enumeration, in its turn.
  out.order = enum_of<RangeRequest::Order>(order, 2);
  out.target = enum_of<RangeRequest::Target>(target, 4);
  return {};
}

Result<void> read_put(std::string_view message, PutRequest& out) {
  Reader in(message);
  while (in.next()) {
    switch (in.field()) {
      case 1: out.key = in.text(); break;
      case 2: out.value = in.text(); break;
      case 3: out.lease = in.signed_number(); break;
      case 4: out.prev_kv = in.boolean(); break;
      case 5: out.ignore_value = in.boolean(); break;
      case 6: out.ignore_lease = in.boolean(); break;
      default: break;
    }
  }
  if (!in.ok()) return fail(malformed());
  return {};
}

Result<void> read_delete(std::string_view message, DeleteRangeRequest& out) {
  Reader in(message);
  while (in.next()) {
    switch (in.field()) {
      case 1: out.key = in.text(); break;
      case 2: out.range_end = in.text(); break;
      case 3: out.prev_kv = in.boolean(); break;
      default: break;
    }
  }
  if (!in.ok()) return fail(malformed());
  return {};
}

Result<void> read_compare(std::string_view message, Compare& out) {
  Reader in(message);
  uint64_t result = 0, target = 0;
  uint32_t given = 0;
  while (in.next()) {
    switch (in.field()) {
      case 1: result = uint32_t(in.number()); break;
      case 2: target = uint32_t(in.number()); break;
      case 3: out.key = in.text(); break;
      case 4: case 5: case 6: case 8:
        given = in.field();
        out.number = in.signed_number();
        break;
      case 7:
        given = 7;
        out.value = in.text();
        break;
      case 64: out.range_end = in.text(); break;
      default: break;
    }
  }
  if (!in.ok()) return fail(malformed());
  if (result > 3 || target > 4) {
    // etcd finds that an unknown target equals, and that an unknown comparison holds. The same with known ones:
    // versions are never negative.
    const bool holds = result > 3 || result == uint64_t(Compare::Result::kEqual);
    if (target == uint64_t(Compare::Target::kValue)) {
      out.result = Compare::Result(4);  // holds for every key that is there, as compare_values() has it
      out.target = Compare::Target::kValue;
      return {};
    }
    out.target = Compare::Target::kVersion;
    out.result = holds ? Compare::Result::kGreater : Compare::Result::kLess;
    out.number = holds ? -1 : 0;
    out.value.clear();
    return {};
  }
  out.result = Compare::Result(result);
  out.target = Compare::Target(target);
  // A value of another target than the one asked for is no value (etcd reads the oneof's getter).
  constexpr uint32_t kFieldOfTarget[] = {4, 5, 6, 7, 8};
  if (given != kFieldOfTarget[target]) {
    out.number = 0;
    out.value.clear();
  }
  return {};
}

Result<void> read_txn(std::string_view message, TxnRequest& out, int depth);

Result<void> read_op(std::string_view message, Op& out, int depth) {
  out = std::shared_ptr<const TxnRequest>();  // what an operation without a request is
  Reader in(message);
  Result<void> read;
  while (read && in.next()) {
    switch (in.field()) {
      case 1: read = read_range(in.text(), out.emplace<RangeRequest>()); break;
      case 2: read = read_put(in.text(), out.emplace<PutRequest>()); break;
      case 3: read = read_delete(in.text(), out.emplace<DeleteRangeRequest>()); break;
      case 4: {
        auto nested = std::make_shared<TxnRequest>();
        read = read_txn(in.text(), *nested, depth + 1);
        out = std::shared_ptr<const TxnRequest>(std::move(nested));
        break;
      }
      default: break;
    }
  }
  if (!read) return read;
  if (!in.ok()) return fail(malformed());
  return {};
}

Result<void> read_txn(std::string_view message, TxnRequest& out, int depth) {
  if (depth > kMaxTxnDepth) return fail(errors::too_many_ops());
  Reader in(message);
  Result<void> read;
  while (read && in.next()) {
    if (out.success.size() + out.failure.size() >= kMaxTxnList) return fail(errors::too_many_ops());
    switch (in.field()) {
      case 1:
        if (out.compares.size() >= kMaxTxnList) return fail(errors::too_many_ops());
        read = read_compare(in.text(), out.compares.emplace_back());
        break;
      case 2: read = read_op(in.text(), out.success.emplace_back(), depth); break;
      case 3: read = read_op(in.text(), out.failure.emplace_back(), depth); break;
      default: break;
    }
  }
  if (!read) return read;
  if (!in.ok()) return fail(malformed());
  return {};
}

template <class T, class Read>
Result<T> decode(std::string_view message, const Read& read) {
  T out;
  if (auto done = read(message, out); !done) return fail(done.error());
  return out;
}

void read_filters(Reader& in, WatchRequest& out) {
  auto filter = [&](uint64_t value) {
    out.no_put |= value == 0;
    out.no_delete |= value == 1;
  };
  if (!in.is_text()) return filter(in.number());
  // Packed.
  std::string_view packed = in.text();
  for (uint64_t value; !packed.empty();) {
    if (!read_varint(packed, value)) return in.spoil();
    filter(value);
  }
}

Result<void> read_watch_create(std::string_view message, WatchMessage& out) {
  Reader in(message);
  while (in.next()) {
    switch (in.field()) {
      case 1: out.create.key = in.text(); break;
      case 2: out.create.range_end = in.text(); break;
      case 3: out.create.start_revision = in.signed_number(); break;
      case 4: out.progress_notify = in.boolean(); break;
      case 5: read_filters(in, out.create); break;
      case 6: out.create.prev_kv = in.boolean(); break;
      case 7: out.watch_id = in.signed_number(); break;
      case 8: out.fragment = in.boolean(); break;
      default: break;
    }
  }
  if (!in.ok()) return fail(malformed());
  return {};
}

size_t number_size(uint64_t value) { return value == 0 ? 0 : 1 + varint_size(value); }
size_t bytes_size(std::string_view value) { return value.empty() ? 0 : 1 + varint_size(value.size()) + value.size(); }

size_t size_of(const KeyValue& kv, size_t value_bytes) {
  size_t value = value_bytes == 0 ? 0 : 1 + varint_size(value_bytes) + value_bytes;
  return bytes_size(kv.key) + number_size(uint64_t(kv.create_revision)) + number_size(uint64_t(kv.mod_revision)) +
         number_size(uint64_t(kv.version)) + value + number_size(uint64_t(kv.lease));
}

// Answers inside a transaction have a header with a revision only; the outermost has all.
void write_inner_header(Writer& out, Revision revision) {
  out.message(1, [&](Writer& w) { w.number(3, uint64_t(revision)); });
}

void write_range(Writer& out, const RangeResponse& response) {
  for (const KeyValue& kv : response.kvs) write_key_value(out, 2, kv);
  out.boolean(3, response.more);
  out.number(4, uint64_t(response.count));
}
void write_put(Writer& out, const PutResponse& response) {
  if (response.prev_kv) write_key_value(out, 2, *response.prev_kv);
}
void write_delete(Writer& out, const DeleteRangeResponse& response) {
  out.number(2, uint64_t(response.deleted));
  for (const KeyValue& kv : response.prev_kvs) write_key_value(out, 3, kv);
}
void write_txn(Writer& out, const TxnResponse& response);

void write_op(Writer& out, const OpResponse& response) {
  if (auto* range = std::get_if<RangeResponse>(&response)) {
    out.message(1, [&](Writer& w) {
      write_inner_header(w, range->revision);
      write_range(w, *range);
    });
  } else if (auto* put = std::get_if<PutResponse>(&response)) {
    out.message(2, [&](Writer& w) {
      write_inner_header(w, put->revision);
      write_put(w, *put);
    });
  } else if (auto* del = std::get_if<DeleteRangeResponse>(&response)) {
    out.message(3, [&](Writer& w) {
      write_inner_header(w, del->revision);
      write_delete(w, *del);
    });
  } else {
    out.message(4, [&](Writer& w) {
      const TxnResponse& txn = *std::get<std::shared_ptr<const TxnResponse>>(response);
      write_inner_header(w, txn.revision);
      write_txn(w, txn);
    });
  }
}

void write_txn(Writer& out, const TxnResponse& response) {
  out.boolean(2, response.succeeded);
  for (const OpResponse& op : response.responses) {
    out.message(3, [&](Writer& w) { write_op(w, op); });
  }
}

}  // namespace

Result<RangeRequest> decode_range(std::string_view message) { return decode<RangeRequest>(message, read_range); }
Result<PutRequest> decode_put(std::string_view message) { return decode<PutRequest>(message, read_put); }
Result<DeleteRangeRequest> decode_delete(std::string_view message) {
  return decode<DeleteRangeRequest>(message, read_delete);
}
Result<TxnRequest> decode_txn(std::string_view message) {
  return decode<TxnRequest>(message, [](std::string_view m, TxnRequest& out) { return read_txn(m, out, 0); });
}

Result<WatchMessage> decode_watch(std::string_view message) {
  WatchMessage out;
  Reader in(message);
  Result<void> read;
  while (read && in.next()) {
    switch (in.field()) {
      case 1:
        out.kind = WatchMessage::Kind::kCreate;
        read = read_watch_create(in.text(), out);
        break;
      case 2: {
        out.kind = WatchMessage::Kind::kCancel;
        auto fields = decode_fields(in.text());
        if (!fields) return fail(fields.error());
        out.watch_id = fields->number(1);
        break;
      }
      case 3: out.kind = WatchMessage::Kind::kProgress; break;
      default: break;
    }
  }
  if (!read) return fail(read.error());
  if (!in.ok()) return fail(malformed());
  return out;
}

Result<Fields> decode_fields(std::string_view message) {
  Fields out;
  Reader in(message);
  while (in.next()) {
    if (out.texts.size() + out.numbers.size() >= kMaxFields) return fail(malformed());
    if (in.is_text()) {
      out.texts.emplace_back(in.field(), in.text());
    } else if (in.is_number()) {
      out.numbers.emplace_back(in.field(), in.number());
    }
  }
  if (!in.ok()) return fail(malformed());
  return out;
}

int64_t Fields::number(uint32_t field) const {
  int64_t value = 0;
  for (const auto& [f, v] : numbers) {
    if (f == field) value = int64_t(v);
  }
  return value;
}
std::string_view Fields::text(uint32_t field) const {
  std::string_view value;
  for (const auto& [f, v] : texts) {
    if (f == field) value = v;
  }
  return value;
}
bool Fields::has_text(uint32_t field) const {
  return std::any_of(texts.begin(), texts.end(), [&](const auto& entry) { return entry.first == field; });
}
std::vector<std::string_view> Fields::all(uint32_t field) const {
  std::vector<std::string_view> out;
  for (const auto& [f, v] : texts) {
    if (f == field) out.push_back(v);
  }
  return out;
}

void write_header(Writer& out, const Ids& ids, Revision revision) {
  out.message(1, [&](Writer& w) {
    w.number(1, ids.cluster);
    w.number(2, ids.member);
    w.number(3, uint64_t(revision));
    w.number(4, ids.term);
  });
}

void write_key_value(Writer& out, uint32_t field, const KeyValue& kv) {
  out.tag(field, 2);
  out.raw_varint(size_of(kv, kv.value.size()));
  out.bytes(1, kv.key);
  out.number(2, uint64_t(kv.create_revision));
  out.number(3, uint64_t(kv.mod_revision));
  out.number(4, uint64_t(kv.version));
  out.bytes(5, kv.value);
  out.number(6, uint64_t(kv.lease));
}

size_t key_value_bytes(const KeyValue& kv, size_t value_bytes) {
  size_t size = size_of(kv, value_bytes);
  return 1 + varint_size(size) + size;
}

std::string encode(const Ids& ids, const RangeResponse& response) {
  Writer out;
  size_t bytes = 64;
  for (const KeyValue& kv : response.kvs) bytes += kv.key.size() + kv.value.size() + 48;
  out.reserve(bytes);
  write_header(out, ids, response.revision);
  write_range(out, response);
  return out.take();
}
std::string encode(const Ids& ids, const PutResponse& response) {
  Writer out;
  write_header(out, ids, response.revision);
  write_put(out, response);
  return out.take();
}
std::string encode(const Ids& ids, const DeleteRangeResponse& response) {
  Writer out;
  write_header(out, ids, response.revision);
  write_delete(out, response);
  return out.take();
}
std::string encode(const Ids& ids, const TxnResponse& response) {
  Writer out;
  write_header(out, ids, response.revision);
  write_txn(out, response);
  return out.take();
}
size_t measured_bytes(std::string_view message) {
  constexpr size_t kHeaderBytes = 14;  // RaftRequestHeader: its tag and length, and an id of ten bytes
  return kHeaderBytes + 1 + varint_size(message.size()) + message.size();
}

std::string encode_header_only(const Ids& ids, Revision revision) {
  Writer out;
  write_header(out, ids, revision);
  return out.take();
}

const std::shared_ptr<const std::string>& encoded_event(mvcc::EventSlot& slot, bool prev_kv) {
  auto& wire = prev_kv ? slot.wire_with_previous : slot.wire;
  if (wire != nullptr) return wire;
  const Event& event = prev_kv && slot.with_previous != nullptr ? *slot.with_previous : *slot.event;
  Writer out;
  out.message(11, [&](Writer& w) {
    w.number(1, event.type == Event::Type::kDelete ? 1 : 0);
    write_key_value(w, 2, event.kv);
    if (event.prev_kv) write_key_value(w, 3, *event.prev_kv);
  });
  wire = std::make_shared<const std::string>(out.take());
  return wire;
}

void write_watch_answer(Writer& out, const WatchAnswer& answer) {
  out.number(2, uint64_t(answer.watch_id));
  out.boolean(3, answer.created);
  out.boolean(4, answer.canceled);
  out.number(5, uint64_t(answer.compact_revision));
  out.bytes(6, answer.cancel_reason);
  out.boolean(7, answer.fragment);
}

}  // namespace rs::store::etcd
