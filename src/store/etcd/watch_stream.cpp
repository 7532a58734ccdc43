#include "store/etcd/watch_stream.h"

#include <boost/asio/this_coro.hpp>

namespace rs::store::etcd {
namespace {
constexpr size_t kOpenBytes = 32 << 10;    // of small messages gathered for one write
constexpr size_t kSharedBytes = 2 << 10;   // larger events are not copied

// A refusal as etcd words it here: the status as grpc-go prints one (rpctypes.ErrGRPCPermissionDenied.Error()).
std::string refusal_text(const Error& error) {
  std::string_view code = error.code == Code::kForbidden      ? "PermissionDenied"
                          : error.code == Code::kUnauthorized ? "Unauthenticated"
                                                              : "InvalidArgument";
  return fmt::format("rpc error: code = {} desc = {}", code, error.message);
}

}  // namespace

WatchStream::WatchStream(EtcdService& service, net::grpc::ServerStream& stream)
    : service_(service), stream_(stream), queued_(service.loop_), taken_(service.loop_), tasks_(service.loop_) {
  service_.streams_.insert(this);
}

WatchStream::~WatchStream() {
  service_.streams_.erase(this);
  service_.counts_.events_queued -= unsent_events_;
  for (auto& [id, entry] : watchers_) service_.store_.hub().remove(entry.watcher);
}

awaitable<net::grpc::Status> WatchStream::run() {
  tasks_.spawn("watch stream writer", write_all());
  std::optional<net::grpc::Status> status;
  std::exception_ptr cancelled;
  try {
    co_await read_all(status);
  } catch (...) {
    cancelled = std::current_exception();
  }
  closed_ = true;
  queued_.notify();
  // The writer uses the stream, so it has to end first, also when this call is being cancelled.
  co_await boost::asio::this_coro::reset_cancellation_state();
  co_await tasks_.stop();
  if (cancelled) std::rethrow_exception(cancelled);
  co_return status.value_or(net::grpc::Status{});
}

awaitable<void> WatchStream::read_all(std::optional<net::grpc::Status>& status) {
  while (true) {
    // Whoever asks without reading the answers is not listened to.
    while (queued_bytes_ >= kQueueBytes && !writer_ended_) co_await taken_.wait();
    auto message = co_await stream_.read();
    if (!message) {
      status = to_status(message.error());
      co_return;
    }
    if (!message->has_value()) co_return;
    auto decoded = decode_watch(**message);
    if (!decoded) {
      status = to_status(decoded.error());
      co_return;
    }
    handle(std::move(*decoded));
  }
}

awaitable<void> WatchStream::write_all() {
  struct Guard {
    WatchStream& s;
    ~Guard() {
      s.writer_ended_ = true;
      s.taken_.notify();
    }
  } guard{*this};
  while (true) {
    while (queued_bytes_ == 0 && !closed_) co_await queued_.wait();
    if (queued_bytes_ == 0) co_return;
    if (queue_.empty()) seal();
    Piece piece = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= piece.bytes->size();
    if (queued_bytes_ < kQueueBytes / 2) taken_.notify();
    auto written = co_await stream_.write_framed(std::move(piece.bytes), piece.messages);
    if (!written) co_return;
    if (queued_bytes_ == 0) service_.counts_.events_sent += std::exchange(unsent_events_, 0);
    if (blocked_ && queued_bytes_ <= kQueueBytes / 2) resume_blocked();
  }
}

void WatchStream::resume_blocked() {
  blocked_ = false;
  for (auto& [id, entry] : watchers_) service_.store_.hub().resume(entry.watcher);
  service_.store_.wake_watchers();
}

void WatchStream::seal() {
  if (open_.empty()) return;
  queue_.push_back({std::make_shared<const std::string>(std::exchange(open_, {})), std::exchange(open_messages_, 0)});
}

void WatchStream::push(const WatchAnswer& answer, std::span<mvcc::EventSlot* const> slots, bool prev_kv) {
  const std::string_view header = service_.encoded_header(answer.revision);
  Writer head;
  write_watch_answer(head, answer);
  const std::string details = head.take();
  size_t bytes = header.size() + details.size();
  for (mvcc::EventSlot* slot : slots) bytes += encoded_event(*slot, prev_kv)->size();
  if (queued_bytes_ == 0) queued_.notify();
  const size_t framed = bytes + 5;
  if (open_.empty()) open_.reserve(std::min(framed, kOpenBytes));
  net::grpc::append_prefix(open_, bytes);
  ++open_messages_;
  open_.append(header).append(details);
  for (mvcc::EventSlot* slot : slots) {
    const auto& event = encoded_event(*slot, prev_kv);
    if (event->size() <= kSharedBytes) {
      open_.append(*event);
      if (open_.size() >= kOpenBytes) seal();
    } else {
      seal();
      queue_.push_back({event});
    }
  }
  queued_bytes_ += framed;
}

void WatchStream::push(const WatchAnswer& answer) { push(answer, {}, false); }

void WatchStream::handle(WatchMessage message) {
  switch (message.kind) {
    case WatchMessage::Kind::kCreate: return create(std::move(message));
    case WatchMessage::Kind::kCancel: return cancel(message.watch_id);
    case WatchMessage::Kind::kProgress: return request_progress();
    case WatchMessage::Kind::kNone: return;
  }
}

void WatchStream::create(WatchMessage message) {
  WatchRequest& request = message.create;
  WatchAnswer answer{.revision = service_.store_.revision(), .watch_id = -1, .created = true};
  auto refuse = [&](std::string_view reason) {
    answer.canceled = true;
    answer.cancel_reason = reason;
    push(answer);
  };
  if (request.key.empty()) request.key.assign(1, '\0');
  mvcc::KeyRange range{request.key, request.range_end};
  if (range.empty()) return refuse("mvcc: watcher range is empty");
  if (request.start_revision < 0) return refuse("etcdserver: mvcc: required revision has been compacted");
  if (auto refused = Caller(service_.guard_, stream_.info()).refuse_keys(auth::Permission::Type::kRead, request.key,
                                                                            request.range_end))
    return refuse(refusal_text(*refused));
  int64_t id = message.watch_id;
  if (id == 0) {
    while (taken(next_id_)) ++next_id_;
    id = next_id_++;
  } else if (taken(id)) {
    return refuse("mvcc: duplicate watch ID provided on the WatchStream");
  }
  answer.watch_id = id;
  push(answer);
  mvcc::Watcher watcher;
  watcher.key = std::move(request.key);
  watcher.range_end = std::move(request.range_end);
  watcher.start = request.start_revision;
  watcher.prev_kv = request.prev_kv;
  watcher.no_put = request.no_put;
  watcher.no_delete = request.no_delete;
  watcher.tag = id;
  watcher.sink = this;
  mvcc::Watcher* added = service_.store_.hub().add(std::move(watcher));
  watchers_.emplace(id, Entry{added, message.progress_notify, message.fragment, true});
  if (!added->synced) service_.store_.wake_watchers();
}

void WatchStream::cancel(int64_t id) {
  if (auto it = watchers_.find(id); it != watchers_.end()) {
    service_.store_.hub().remove(it->second.watcher);
    watchers_.erase(it);
  } else if (compacted_.erase(id) == 0) {
    return;
  }
  push(WatchAnswer{.revision = service_.store_.revision(), .watch_id = id, .canceled = true});
}

void WatchStream::request_progress() {
  for (auto& [id, entry] : watchers_) {
    if (!service_.store_.hub().may_mark(*entry.watcher)) return;
  }
  push(WatchAnswer{.revision = service_.store_.revision(), .watch_id = -1});
}

void WatchStream::notify_progress() {
  for (auto& [id, entry] : watchers_) {
    bool quiet = std::exchange(entry.quiet, true);
    if (!quiet || !entry.progress_notify || !service_.store_.hub().may_mark(*entry.watcher)) continue;
    push(WatchAnswer{.revision = service_.store_.revision(), .watch_id = id});
  }
}

bool WatchStream::deliver(mvcc::Watcher& watcher, Revision revision, std::span<mvcc::EventSlot* const> slots) {
  if (queued_bytes_ >= kQueueBytes) {
    blocked_ = true;
    return false;
  }
  Entry& entry = watchers_.at(watcher.tag);
  entry.quiet = false;
  unsent_events_ += slots.size();
  service_.counts_.events_queued += slots.size();
  WatchAnswer answer{.revision = revision, .watch_id = watcher.tag};
  if (entry.fragment) {
    push_fragments(answer, slots, watcher.prev_kv);
    return true;
  }
  push(answer, slots, watcher.prev_kv);
  return true;
}

void WatchStream::push_fragments(const WatchAnswer& answer, std::span<mvcc::EventSlot* const> slots, bool prev_kv) {
  const size_t limit = service_.options_.max_request_bytes + 512 * 1024;
  for (size_t i = 0; i < slots.size();) {
    size_t bytes = 64, end = i;
    for (; end < slots.size(); ++end) {
      size_t event = encoded_event(*slots[end], prev_kv)->size();
      if (end > i && bytes + event > limit) break;
      bytes += event;
    }
    WatchAnswer part = answer;
    part.fragment = end < slots.size();
    push(part, slots.subspan(i, end - i), prev_kv);
    i = end;
  }
}

void WatchStream::ended(mvcc::Watcher& watcher, const Error& error) {
  WatchAnswer answer{.revision = service_.store_.revision(), .watch_id = watcher.tag, .canceled = true};
  if (error.code == Code::kOutOfRange) {
    answer.revision = 0;  // as etcd's: only this answer has none
    answer.compact_revision = service_.store_.machine().compacted();
    if (compacted_.size() < kCompactedIdsMax) compacted_.insert(watcher.tag);
  } else {
    answer.cancel_reason = error.message;
  }
  watchers_.erase(watcher.tag);
  push(answer);
}

}  // namespace rs::store::etcd
