#include "store/etcd/client_messages.h"

#include "store/etcd/wire.h"

namespace rs::store::etcd {
namespace {

Error malformed() { return {Code::kInternalError, "the server's answer is not what etcd's API says"}; }

void write(Writer& out, const RangeRequest& request) {
  out.bytes(1, request.key);
  out.bytes(2, request.range_end);
  out.number(3, uint64_t(request.limit));
  out.number(4, uint64_t(request.revision));
  out.number(5, uint64_t(request.order));
  out.number(6, uint64_t(request.target));
  out.boolean(7, request.serializable);
  out.boolean(8, request.keys_only);
  out.boolean(9, request.count_only);
  out.number(10, uint64_t(request.min_mod_revision));
  out.number(11, uint64_t(request.max_mod_revision));
  out.number(12, uint64_t(request.min_create_revision));
  out.number(13, uint64_t(request.max_create_revision));
}

void write(Writer& out, const PutRequest& request) {
  out.bytes(1, request.key);
  out.bytes(2, request.value);
  out.number(3, uint64_t(request.lease));
  out.boolean(4, request.prev_kv);
  out.boolean(5, request.ignore_value);
  out.boolean(6, request.ignore_lease);
}

void write(Writer& out, const DeleteRangeRequest& request) {
  out.bytes(1, request.key);
  out.bytes(2, request.range_end);
  out.boolean(3, request.prev_kv);
}

void write(Writer& out, const Compare& compare) {
  out.number(1, uint64_t(compare.result));
  out.number(2, uint64_t(compare.target));
  out.bytes(3, compare.key);
  // The field of the oneof that the target names; written even when 0, because it is set.
  constexpr uint32_t kFieldOfTarget[] = {4, 5, 6, 7, 8};
  uint32_t field = kFieldOfTarget[size_t(compare.target)];
  if (compare.target == Compare::Target::kValue) {
    out.element(field, compare.value);
  } else {
    out.tag(field, 0);
    out.raw_varint(uint64_t(compare.number));
  }
  out.bytes(64, compare.range_end);
}

void write(Writer& out, const TxnRequest& request);

void write(Writer& out, const Op& op) {
  if (auto* range = std::get_if<RangeRequest>(&op)) {
    out.message(1, [&](Writer& w) { write(w, *range); });
  } else if (auto* put = std::get_if<PutRequest>(&op)) {
    out.message(2, [&](Writer& w) { write(w, *put); });
  } else if (auto* del = std::get_if<DeleteRangeRequest>(&op)) {
    out.message(3, [&](Writer& w) { write(w, *del); });
  } else if (const auto& txn = std::get<std::shared_ptr<const TxnRequest>>(op)) {
    out.message(4, [&](Writer& w) { write(w, *txn); });
  }
}

void write(Writer& out, const TxnRequest& request) {
  for (const Compare& compare : request.compares) out.message(1, [&](Writer& w) { write(w, compare); });
  for (const Op& op : request.success) out.message(2, [&](Writer& w) { write(w, op); });
  for (const Op& op : request.failure) out.message(3, [&](Writer& w) { write(w, op); });
}

template <class T>
std::string encoded(const T& request) {
  Writer out;
  write(out, request);
  return out.take();
}

bool read(std::string_view message, KeyValue& out) {
  Reader in(message);
  while (in.next()) {
    switch (in.field()) {
      case 1: out.key = in.text(); break;
      case 2: out.create_revision = in.signed_number(); break;
      case 3: out.mod_revision = in.signed_number(); break;
      case 4: out.version = in.signed_number(); break;
      case 5: out.value = in.text(); break;
      case 6: out.lease = in.signed_number(); break;
      default: break;
    }
  }
  return in.ok();
}

bool read_header(std::string_view message, Revision& revision) {
  Reader in(message);
  while (in.next()) {
    if (in.field() == 3) revision = in.signed_number();
  }
  return in.ok();
}

bool read(std::string_view message, RangeResponse& out) {
  Reader in(message);
  bool ok = true;
  while (ok && in.next()) {
    switch (in.field()) {
      case 1: ok = read_header(in.text(), out.revision); break;
      case 2: ok = read(in.text(), out.kvs.emplace_back()); break;
      case 3: out.more = in.boolean(); break;
      case 4: out.count = in.signed_number(); break;
      default: break;
    }
  }
  return ok && in.ok();
}

bool read(std::string_view message, PutResponse& out) {
  Reader in(message);
  bool ok = true;
  while (ok && in.next()) {
    if (in.field() == 1) ok = read_header(in.text(), out.revision);
    if (in.field() == 2) ok = read(in.text(), out.prev_kv.emplace());
  }
  return ok && in.ok();
}

bool read(std::string_view message, DeleteRangeResponse& out) {
  Reader in(message);
  bool ok = true;
  while (ok && in.next()) {
    switch (in.field()) {
      case 1: ok = read_header(in.text(), out.revision); break;
      case 2: out.deleted = in.signed_number(); break;
      case 3: ok = read(in.text(), out.prev_kvs.emplace_back()); break;
      default: break;
    }
  }
  return ok && in.ok();
}

bool read(std::string_view message, TxnResponse& out, int depth);

bool read(std::string_view message, OpResponse& out, int depth) {
  Reader in(message);
  bool ok = true;
  while (ok && in.next()) {
    switch (in.field()) {
      case 1: ok = read(in.text(), out.emplace<RangeResponse>()); break;
      case 2: ok = read(in.text(), out.emplace<PutResponse>()); break;
      case 3: ok = read(in.text(), out.emplace<DeleteRangeResponse>()); break;
      case 4: {
        auto nested = std::make_shared<TxnResponse>();
        ok = read(in.text(), *nested, depth + 1);
        out = std::shared_ptr<const TxnResponse>(std::move(nested));
        break;
      }
      default: break;
    }
  }
  return ok && in.ok();
}

bool read(std::string_view message, TxnResponse& out, int depth) {
  constexpr int kMaxDepth = 130;
  if (depth > kMaxDepth) return false;
  Reader in(message);
  bool ok = true;
  while (ok && in.next()) {
    switch (in.field()) {
      case 1: ok = read_header(in.text(), out.revision); break;
      case 2: out.succeeded = in.boolean(); break;
      case 3: ok = read(in.text(), out.responses.emplace_back(), depth); break;
      default: break;
    }
  }
  return ok && in.ok();
}

bool read(std::string_view message, Event& out) {
  Reader in(message);
  bool ok = true;
  while (ok && in.next()) {
    switch (in.field()) {
      case 1: out.type = in.number() == 1 ? Event::Type::kDelete : Event::Type::kPut; break;
      case 2: ok = read(in.text(), out.kv); break;
      case 3: ok = read(in.text(), out.prev_kv.emplace()); break;
      default: break;
    }
  }
  return ok && in.ok();
}

template <class T>
Result<T> decoded(std::string_view message) {
  T out;
  if (!read(message, out)) return fail(malformed());
  return out;
}

}  // namespace

std::string encode(const RangeRequest& request) { return encoded(request); }
std::string encode(const PutRequest& request) { return encoded(request); }
std::string encode(const DeleteRangeRequest& request) { return encoded(request); }
std::string encode(const TxnRequest& request) { return encoded(request); }

std::string encode_compaction(Revision revision, bool physical) {
  Writer out;
  out.number(1, uint64_t(revision));
  out.boolean(2, physical);
  return out.take();
}
std::string encode_lease_grant(int64_t ttl_seconds, LeaseId id) {
  Writer out;
  out.number(1, uint64_t(ttl_seconds));
  out.number(2, uint64_t(id));
  return out.take();
}
std::string encode_lease_id(LeaseId id) {
  Writer out;
  out.number(1, uint64_t(id));
  return out.take();
}
std::string encode_lease_time_to_live(LeaseId id, bool keys) {
  Writer out;
  out.number(1, uint64_t(id));
  out.boolean(2, keys);
  return out.take();
}

std::string encode(const WatchCreate& create) {
  Writer out;
  out.message(1, [&](Writer& w) {
    w.bytes(1, create.request.key);
    w.bytes(2, create.request.range_end);
    w.number(3, uint64_t(create.request.start_revision));
    w.boolean(4, create.progress_notify);
    std::string filters;
    if (create.request.no_put) filters.push_back(0);
    if (create.request.no_delete) filters.push_back(1);
    w.bytes(5, filters);
    w.boolean(6, create.request.prev_kv);
    w.number(7, uint64_t(create.watch_id));
    w.boolean(8, create.fragment);
  });
  return out.take();
}
std::string encode_watch_cancel(int64_t watch_id) {
  Writer out;
  out.message(2, [&](Writer& w) { w.number(1, uint64_t(watch_id)); });
  return out.take();
}
std::string encode_watch_progress() {
  Writer out;
  out.message(3, [](Writer&) {});
  return out.take();
}

Result<RangeResponse> decode_range_response(std::string_view message) { return decoded<RangeResponse>(message); }
Result<PutResponse> decode_put_response(std::string_view message) { return decoded<PutResponse>(message); }
Result<DeleteRangeResponse> decode_delete_response(std::string_view message) {
  return decoded<DeleteRangeResponse>(message);
}
Result<TxnResponse> decode_txn_response(std::string_view message) {
  TxnResponse out;
  if (!read(message, out, 0)) return fail(malformed());
  return out;
}

Result<Revision> decode_header_revision(std::string_view message) {
  Reader in(message);
  Revision revision = 0;
  bool ok = true;
  while (ok && in.next()) {
    if (in.field() == 1) ok = read_header(in.text(), revision);
  }
  if (!ok || !in.ok()) return fail(malformed());
  return revision;
}

Result<LeaseAnswer> decode_lease_answer(std::string_view message) {
  LeaseAnswer out;
  Reader in(message);
  bool ok = true;
  while (ok && in.next()) {
    switch (in.field()) {
      case 1: ok = read_header(in.text(), out.revision); break;
      case 2: out.id = in.signed_number(); break;
      case 3: out.ttl_seconds = in.signed_number(); break;
      case 4: out.granted_ttl_seconds = in.signed_number(); break;
      case 5: out.keys.emplace_back(in.text()); break;
      default: break;
    }
  }
  if (!ok || !in.ok()) return fail(malformed());
  return out;
}

Result<WatchResponse> decode_watch_response(std::string_view message) {
  WatchResponse out;
  Reader in(message);
  bool ok = true;
  while (ok && in.next()) {
    switch (in.field()) {
      case 1: ok = read_header(in.text(), out.revision); break;
      case 2: out.watch_id = in.signed_number(); break;
      case 3: out.created = in.boolean(); break;
      case 4: out.canceled = in.boolean(); break;
      case 5: out.compact_revision = in.signed_number(); break;
      case 6: out.cancel_reason = in.text(); break;
      case 7: out.fragment = in.boolean(); break;
      case 11: ok = read(in.text(), out.events.emplace_back()); break;
      default: break;
    }
  }
  if (!ok || !in.ok()) return fail(malformed());
  return out;
}

}  // namespace rs::store::etcd
