#include "net/h2_connection.h"

#include "base/memory.h"
#include "net/http1.h"
#include "net/text.h"

namespace rs::net::h2 {
namespace {
using namespace std::chrono_literals;
constexpr size_t kReadBytesMin = 2 << 10, kReadBytesMax = 64 << 10;
constexpr size_t kOutputBytes = 256 << 10;     // gathered for one write
constexpr size_t kCopyBytes = 2 << 10;         // smaller pieces are copied together rather than sent as buffers of their own
constexpr size_t kDroppedBytes = 256 << 10;    // so much of one stream that nobody took goes back to the system at once
constexpr size_t kContinuations = 8;           // of one header block: CVE-2024-28182
constexpr size_t kWaitingFrames = 1000;        // that a client does not take, before it is not listened to any more
constexpr uint64_t kOdditiesPerSecond = 1000;  // PING, SETTINGS, PRIORITY, empty DATA: CVE-2019-9512, -9515, -9518

bool is_hop_header(std::string_view name) {  // RFC 9113 8.2.2
  for (const std::string_view hop :
       {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host"}) {
    if (equal_ignoring_case(name, hop)) return true;
  }
  return false;
}
}  // namespace

void add_fields(Fields& fields, const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (is_hop_header(name) || !http1::is_token(name) || !http1::is_field_value(value)) continue;
    add_field(fields, name, value);
  }
}

struct Connection::Callbacks {
  static Connection& self(void* data) { return *static_cast<Connection*>(data); }
  static Exchange* exchange(nghttp2_session* session, int32_t id) {
    return static_cast<Exchange*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static ssize_t send(nghttp2_session*, const uint8_t* data, size_t size, int, void* user) {
    Connection& c = self(user);
    if (c.output_bytes_ >= kOutputBytes) return NGHTTP2_ERR_WOULDBLOCK;
    c.output({reinterpret_cast<const char*>(data), size});
    return static_cast<ssize_t>(size);
  }

  // How much of the stream's bytes go into the next DATA frame; send_data() moves them.
  static ssize_t read_data(nghttp2_session* session, int32_t id, uint8_t*, size_t size, uint32_t* flags,
                           nghttp2_data_source* source, void*) {
    auto& e = *static_cast<Exchange*>(source->ptr);
    const size_t count = std::min(size, e.unsent);
    if (count == 0 && !e.finished_) {
      e.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (e.finished_ && count == e.unsent) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (e.has_trailers_) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        Fields fields;
        add_fields(fields, e.trailers_);
        nghttp2_submit_trailer(session, id, fields.data(), fields.size());
      }
    }
    return static_cast<ssize_t>(count);
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t size, nghttp2_data_source* source,
                       void* user) {
    Connection& c = self(user);
    if (c.output_bytes_ >= kOutputBytes) return NGHTTP2_ERR_WOULDBLOCK;
    auto& e = *static_cast<Exchange*>(source->ptr);
    c.output({reinterpret_cast<const char*>(head), 9});
    e.unsent -= size;
    c.take_unsent(size);
    e.progress = c.loop.now();
    while (size > 0) {
      auto& chunk = e.chunks_[e.first_chunk_];
      const size_t count = std::min(size, chunk.bytes->size() - chunk.offset);
      if (count <= kCopyBytes) {
        c.output(std::string_view(*chunk.bytes).substr(chunk.offset, count));
      } else {
        c.pieces_.push_back({chunk.bytes, chunk.offset, count});
        c.output_bytes_ += count;
      }
      size -= count;
      chunk.offset += count;
      if (chunk.offset < chunk.bytes->size()) break;
      chunk.bytes.reset();
      if (++e.first_chunk_ == e.chunks_.size()) {
        e.chunks_.clear();
        e.first_chunk_ = 0;
      } else if (e.first_chunk_ >= 64 && e.first_chunk_ * 2 > e.chunks_.size()) {
        e.chunks_.erase(e.chunks_.begin(), e.chunks_.begin() + static_cast<ptrdiff_t>(e.first_chunk_));
        e.first_chunk_ = 0;
      }
    }
    if (e.unsent < ResponseWriter::kBufferLimit / 2) e.drained();
    return 0;
  }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Connection& c = self(user);
    if (!c.settings_.server || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const int32_t id = c.newest_ = frame->hd.stream_id;
    auto accepted = c.going_away_ || !c.owner_ ? nullptr : c.owner_->accept(id);
    if (!accepted) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
      return 0;
    }
    accepted->connection = &c;
    accepted->id = id;
    accepted->progress = c.loop.now();
    nghttp2_session_set_stream_user_data(session, id, accepted.get());
    c.exchanges_.emplace(id, std::move(accepted));
    return 0;
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Connection& c = self(user);
    Exchange* e = exchange(session, frame->hd.stream_id);
    if (!e) return 0;
    // RFC 9113 10.5.1: each field counts 32 bytes more than its text.
    e->header_bytes_ += name_size + value_size + 32;
    if (e->header_bytes_ > c.settings_.header_bytes || ++e->header_count_ > c.settings_.header_count) {
      // Far too many: the connection is not worth decoding on.
      return e->header_bytes_ > 4 * c.settings_.header_bytes ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    }
    e->header({reinterpret_cast<const char*>(name), name_size}, {reinterpret_cast<const char*>(value), value_size});
    return 0;
  }

  static void message_frame(Connection& c, Exchange& e, const nghttp2_frame* frame) {
    const auto keep = e.shared_from_this();
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS) {
      const bool over = e.header_bytes_ > c.settings_.header_bytes || e.header_count_ > c.settings_.header_count;
      e.header_bytes_ = e.header_count_ = 0;
      if (over) e.too_many_headers();
      else e.headers_done();
    } else if (frame->hd.length == 0 && !end && !c.glitch(c.oddities_, kOdditiesPerSecond)) {
      return;
    }
    if (end) {
      e.receiving = false;
      e.end();
    }
  }

  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Connection& c = self(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA:
        if (auto* e = exchange(session, frame->hd.stream_id)) message_frame(c, *e, frame);
        break;
      case NGHTTP2_RST_STREAM:
        c.count_reset(frame->hd.stream_id);
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) break;
        if (c.owner_ && !c.owner_->ping_allowed()) c.go_away(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
        // grpc-go measures the way with one ping after data came: as many as there are answers, or requests.
        if (!std::exchange(c.sent_since_ping_, false)) c.glitch(c.oddities_, kOdditiesPerSecond);
        break;
      case NGHTTP2_SETTINGS:
      case NGHTTP2_PRIORITY:
        c.glitch(c.oddities_, kOdditiesPerSecond);
        break;
      case NGHTTP2_GOAWAY:
        c.going_away_ = true;
        break;
      default:
        break;
    }
    return 0;
  }

  static int data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* user) {
    Connection& c = self(user);
    Exchange* e = exchange(session, id);
    if (!e) {
      nghttp2_session_consume(session, id, size);
      return 0;
    }
    e->progress = c.loop.now();
    e->data({reinterpret_cast<const char*>(bytes), size});
    return 0;
  }

  static void closed(Connection& c, int32_t id, uint32_t error) {
    const auto node = c.exchanges_.extract(id);
    if (node.empty()) return;
    c.drop_unsent(*node.mapped());
    node.mapped()->connection = nullptr;
    node.mapped()->closed(error);
  }

  static int stream_closed(nghttp2_session* session, int32_t id, uint32_t error, void* user) {
    nghttp2_session_set_stream_user_data(session, id, nullptr);
    closed(self(user), id, error);
    return 0;
  }

  static int sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    // A client can make the server reset its streams for it: CVE-2025-8671.
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
        frame->rst_stream.error_code != NGHTTP2_REFUSED_STREAM)
      self(user).count_reset(frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)
      self(user).sent_ = self(user).sent_since_ping_ = true;
    // The answer is complete before the request: what the client still sends has no reader (RFC 9113 8.1).
    if (!self(user).settings_.server || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 ||
        (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
      return 0;
    const Exchange* e = exchange(session, frame->hd.stream_id);
    if (e && e->receiving)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
  }

  // A request that was waiting for its turn when the connection ended or the request was cancelled.
  static int not_sent(nghttp2_session* session, const nghttp2_frame* frame, int, void* user) {
    Connection& c = self(user);
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
      closed(c, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    // An answer whose fields do not fit into a block is none.
    else if (c.settings_.server && frame->hd.type == NGHTTP2_HEADERS && exchange(session, frame->hd.stream_id))
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    return 0;
  }

  static nghttp2_session_callbacks* table() {
    static nghttp2_session_callbacks* const made = [] {
      nghttp2_session_callbacks* t = nullptr;
      nghttp2_session_callbacks_new(&t);
      nghttp2_session_callbacks_set_send_callback(t, send);
      nghttp2_session_callbacks_set_send_data_callback(t, send_data);
      nghttp2_session_callbacks_set_on_begin_headers_callback(t, begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(t, header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(t, frame_received);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(t, data);
      nghttp2_session_callbacks_set_on_stream_close_callback(t, stream_closed);
      nghttp2_session_callbacks_set_on_frame_send_callback(t, sent);
      nghttp2_session_callbacks_set_on_frame_not_send_callback(t, not_sent);
      return t;
    }();
    return made;
  }
};

Connection::Connection(async::Loop& l, std::unique_ptr<Stream> stream, Owner* owner, Settings settings)
    : loop(l), stream_(std::move(stream)), owner_(owner), settings_(settings), wake_(l), written_(l) {
  last_read_ = window_start_ = loop.now();
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_max_continuations(option, kContinuations);
  nghttp2_option_set_stream_reset_rate_limit(option, 1'000'000, 1'000'000);  // counted here, by our own limit
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_no_http_messaging(option, settings_.lenient ? 1 : 0);
  nghttp2_option_set_peer_max_concurrent_streams(option, 1'000);  // until its SETTINGS arrive
  if (settings_.server) nghttp2_session_server_new2(&session_, Callbacks::table(), this, option);
  else nghttp2_session_client_new2(&session_, Callbacks::table(), this, option);
  nghttp2_option_del(option);
  std::vector<nghttp2_settings_entry> entries = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
       static_cast<uint32_t>(std::min<size_t>(settings_.concurrent_streams, 0x7fffffff))},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(settings_.stream_window)},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(settings_.header_bytes)}};
  if (!settings_.server) entries.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), entries.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, settings_.connection_window);
}

Connection::~Connection() {
  teardown();
  nghttp2_session_del(session_);
}

std::vector<std::shared_ptr<Exchange>> Connection::open_exchanges() const {
  std::vector<std::shared_ptr<Exchange>> out;
  out.reserve(exchanges_.size());
  for (const auto& [id, exchange] : exchanges_) out.push_back(exchange);
  return out;
}

// Counts something a client seldom needs; too many in a second end the connection.
bool Connection::glitch(uint64_t& counter, uint64_t limit) {
  turn_second();
  if (++counter <= limit) return true;
  if (!close_when_sent_) go_away(NGHTTP2_ENHANCE_YOUR_CALM, "too many control frames");
  return false;
}

void Connection::turn_second() {
  const MonoTime now = loop.now();
  if (now - window_start_ < 1s) return;
  window_start_ = now;
  resets_ = oddities_ = 0;
  window_newest_ = newest_;
}

// Resetting what was just opened is cheap for the client only: CVE-2023-44487. Streams that have lived may end together.
void Connection::count_reset(int32_t stream) {
  turn_second();
  if (settings_.server && stream > window_newest_) glitch(resets_, settings_.resets_per_second);
}

void Connection::add_unsent(size_t bytes) {
  unsent_ += bytes;
  if (settings_.total_unsent) *settings_.total_unsent += bytes;
}
void Connection::take_unsent(size_t bytes) {
  unsent_ -= bytes;
  if (settings_.total_unsent) *settings_.total_unsent -= bytes;
}

// A stream is over: who did not take its bytes will not.
void Connection::drop_unsent(Exchange& exchange) {
  std::optional<GivesBackFreed> gives_back;
  if (exchange.unsent >= kDroppedBytes) gives_back.emplace();
  take_unsent(std::exchange(exchange.unsent, 0));
  exchange.chunks_.clear();
  exchange.first_chunk_ = 0;
}

// A client that asks and asks, and takes no answers.
bool Connection::choked() const {
  return settings_.server && !over_ && nghttp2_session_get_outbound_queue_size(session_) > kWaitingFrames;
}

void Connection::output(std::string_view bytes) {
  // Pieces of output_ that follow each other are one.
  if (pieces_.empty() || pieces_.back().shared) pieces_.push_back({nullptr, output_.size(), 0});
  output_.append(bytes);
  pieces_.back().size += bytes.size();
  output_bytes_ += bytes.size();
}

void Connection::wake() {
  if (!waiting_) return;
  waiting_ = false;
  wake_.notify();
}

bool Connection::fill() {
  const int error = nghttp2_session_send(session_);
  return error == 0 || error == NGHTTP2_ERR_WOULDBLOCK;
}

awaitable<void> Connection::write_loop() {
  auto self = shared_from_this();
  while (!over_) {
    if (!fill()) break;
    if (pieces_.empty()) {
      if (close_when_sent_) break;
      if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) break;
      waiting_ = true;
      if (output_.capacity() > kReadBytesMax) output_ = {};
      co_await wake_.wait();
      continue;
    }
    std::vector<asio::const_buffer> buffers;
    buffers.reserve(pieces_.size());
    for (const auto& piece : pieces_)
      buffers.emplace_back((piece.shared ? piece.shared->data() : output_.data()) + piece.begin, piece.size);
    auto written = co_await stream_->write(buffers);
    std::optional<GivesBackFreed> gives_back;
    if (!written) gives_back.emplace();
    pieces_.clear();
    output_.clear();
    output_bytes_ = 0;
    written_.notify();
    if (owner_) owner_->written();
    if (!written) break;
  }
  close();
}

bool Connection::receive(std::string_view bytes) {
  last_read_ = loop.now();
  const ssize_t taken =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) {
    const bool attack = taken == NGHTTP2_ERR_CALLBACK_FAILURE || taken == NGHTTP2_ERR_FLOODED;
    go_away(attack ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR, nghttp2_strerror(static_cast<int>(taken)));
  }
  wake();
  return taken >= 0 && !close_when_sent_;
}

awaitable<void> Connection::read_loop(std::string bytes) {
  auto self = shared_from_this();
  struct Guard {
    Connection& c;
    ~Guard() {
      c.close();
      c.teardown();
    }
  } guard{*this};
  bool good = bytes.empty() || receive(bytes);
  bytes = {};
  std::vector<char> buffer(kReadBytesMin);
  while (good && !over_) {
    while (choked()) co_await written_.wait();
    auto count = co_await stream_->read(asio::buffer(buffer));
    if (!count || *count == 0) co_return;
    good = receive({buffer.data(), *count});
    if (*count == buffer.size() && buffer.size() < kReadBytesMax) {
      buffer = std::vector<char>(buffer.size() * 4);
    } else if (*count < kReadBytesMin && exchanges_.empty() && buffer.size() > kReadBytesMin) {
      buffer = std::vector<char>(kReadBytesMin);
    }
  }
  // The writer says GOAWAY and closes; whatever else arrives is not looked at.
  while (!over_) {
    auto count = co_await stream_->read(asio::buffer(buffer));
    if (!count || *count == 0) co_return;
  }
}

void Connection::teardown() {
  over_ = true;
  while (!exchanges_.empty()) {
    const auto node = exchanges_.extract(exchanges_.begin());
    nghttp2_session_set_stream_user_data(session_, node.key(), nullptr);
    drop_unsent(*node.mapped());
    node.mapped()->connection = nullptr;
    node.mapped()->closed(NGHTTP2_INTERNAL_ERROR);
  }
}

void Connection::close() {
  if (over_) return;
  over_ = true;
  stream_->close();
  written_.notify();
  wake();
}

void Connection::respond(Exchange& exchange, const Fields& fields, bool end) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &exchange;
  provider.read_callback = Callbacks::read_data;
  nghttp2_submit_response(session_, exchange.id, fields.data(), fields.size(), end ? nullptr : &provider);
  wake();
}

bool Connection::request(std::shared_ptr<Exchange> exchange, const Fields& fields, bool end) {
  nghttp2_data_provider provider{};
  provider.source.ptr = exchange.get();
  provider.read_callback = Callbacks::read_data;
  const int32_t id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), end ? nullptr : &provider,
                                            exchange.get());
  if (id < 0) {
    going_away_ = true;  // no stream ids are left, or the connection is at its end
    return false;
  }
  exchange->connection = this;
  exchange->id = id;
  exchange->progress = loop.now();
  exchanges_.emplace(id, std::move(exchange));
  wake();
  return true;
}

void Connection::resume(Exchange& exchange) {
  if (exchange.deferred_) {
    exchange.deferred_ = false;
    nghttp2_session_resume_data(session_, exchange.id);
  }
  wake();
}

void Connection::push(Exchange& exchange, std::shared_ptr<const std::string> bytes) {
  if (bytes->empty()) return;
  if (exchange.unsent == 0) exchange.progress = loop.now();
  exchange.unsent += bytes->size();
  add_unsent(bytes->size());
  exchange.chunks_.push_back({std::move(bytes), 0});
  resume(exchange);
}

void Connection::finish(Exchange& exchange, Headers trailers) {
  exchange.finished_ = true;
  exchange.has_trailers_ = !trailers.empty();
  exchange.trailers_ = std::move(trailers);
  resume(exchange);
}

void Connection::reset(Exchange& exchange, uint32_t code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, exchange.id, code);
  wake();
}

void Connection::consume(Exchange& exchange, size_t bytes) {
  nghttp2_session_consume(session_, exchange.id, bytes);
  wake();
}

void Connection::ping() {
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  wake();
}

void Connection::go_away(uint32_t code, std::string_view text) {
  going_away_ = true;
  close_when_sent_ = close_when_sent_ || code != NGHTTP2_NO_ERROR;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), code,
                        reinterpret_cast<const uint8_t*>(text.data()), text.size());
  wake();
}

}  // namespace rs::net::h2
