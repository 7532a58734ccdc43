// One HTTP/2 connection over a Stream (nghttp2), for servers and clients, HTTP and gRPC. Inside this room only.
//
// A reader coroutine feeds bytes to nghttp2, whose events reach the Exchange of their stream at once; a writer coroutine
// sends what the events of one turn of the loop produced in one write. One loop. Nothing here waits but the two
// coroutines; an Exchange waits on its own events.
#pragma once

#include <unordered_map>

#include <nghttp2/nghttp2.h>

#include "async/event.h"
#include "net/http.h"

namespace rs::net::h2 {

class Connection;

// One stream. Events come in this order: header()* headers_done(), data()*, [header()* headers_done() (trailers)],
// end(), closed(). closed() comes last, always, and may come at any time.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  virtual ~Exchange() = default;
  virtual void header(std::string_view name, std::string_view value) = 0;
  virtual void headers_done() = 0;
  virtual void too_many_headers() = 0;
  virtual void data(std::string_view bytes) = 0;  // each byte is to be given back with Connection::consume()
  virtual void end() = 0;
  virtual void closed(uint32_t error_code) = 0;
  virtual void drained() {}                       // fewer than half of ResponseWriter::kBufferLimit bytes are unsent

  Connection* connection = nullptr;  // null once closed
  int32_t id = 0;
  size_t unsent = 0;                 // bytes pushed, not yet handed to the stream below
  MonoTime progress{};               // when it last moved, for deadlines
  bool receiving = true;             // the peer has not half-closed

 private:
  friend class Connection;
  struct Chunk {
    std::shared_ptr<const std::string> bytes;
    size_t offset = 0;
  };
  std::vector<Chunk> chunks_;
  size_t first_chunk_ = 0, header_bytes_ = 0, header_count_ = 0;
  bool finished_ = false, deferred_ = false, has_trailers_ = false;
  Headers trailers_;
};

using Fields = std::vector<nghttp2_nv>;
inline void add_field(Fields& fields, std::string_view name, std::string_view value) {
  fields.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                    reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                    NGHTTP2_NV_FLAG_NONE});
}
// Those of a user to whom the version is the same; fields of HTTP/1.1 connections and unsafe ones are left out.
void add_fields(Fields& fields, const Headers& headers);

// Who a connection works for.
class Owner {
 public:
  virtual ~Owner() = default;
  virtual std::shared_ptr<Exchange> accept(int32_t id) = 0;  // a client's new stream; null: refused
  virtual bool ping_allowed() = 0;                           // false: GOAWAY "too_many_pings"
  virtual void written() {}                                  // after each write to the stream below
};

struct Settings {
  bool server = false;
  // Fields are taken as they come. gRPC servers need it: grpc-go sends a target that is an URL as :authority, and etcdctl
  // relies on that being accepted.
  bool lenient = false;
  size_t header_bytes = 64 << 10;
  size_t header_count = 128;
  size_t concurrent_streams = 250;
  size_t resets_per_second = 100;
  int32_t stream_window = 1 << 20;
  int32_t connection_window = 16 << 20;
  size_t* total_unsent = nullptr;  // of all connections of a server: adds its own unsent_bytes()
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(async::Loop& l, std::unique_ptr<Stream> stream, Owner* owner, Settings settings);
  ~Connection();

  awaitable<void> read_loop(std::string bytes);  // until the connection is over; then every exchange is closed
  awaitable<void> write_loop();
  bool receive(std::string_view bytes);          // false: broken. What read_loop() does with bytes

  // Nothing is sent before the current turn of the loop ends.
  void respond(Exchange& exchange, const Fields& fields, bool end);
  bool request(std::shared_ptr<Exchange> exchange, const Fields& fields, bool end);
  void push(Exchange& exchange, std::shared_ptr<const std::string> bytes);
  void finish(Exchange& exchange, Headers trailers = {});
  void reset(Exchange& exchange, uint32_t code);
  void consume(Exchange& exchange, size_t bytes);
  void ping();
  // No new streams. Those open go on when code is NO_ERROR, else the connection closes once this is sent.
  void go_away(uint32_t code, std::string_view text);
  void close();    // now
  void forget_owner() { owner_ = nullptr; }
  bool fill();     // gathers what nghttp2 wants to send; false: broken

  size_t streams() const { return exchanges_.size(); }
  size_t unsent_bytes() const { return unsent_; }  // of all exchanges
  bool usable() const { return !over_ && !going_away_; }
  bool over() const { return over_; }
  MonoTime last_read() const { return last_read_; }
  bool take_sent() { return std::exchange(sent_, false); }  // HEADERS or DATA since the last call
  Stream& stream() { return *stream_; }
  std::vector<std::shared_ptr<Exchange>> open_exchanges() const;
  async::Loop& loop;

 private:
  struct Callbacks;
  struct Piece {
    std::shared_ptr<const std::string> shared;  // null: of output_
    size_t begin = 0, size = 0;
  };
  void wake();
  void output(std::string_view bytes);
  void resume(Exchange& exchange);
  void teardown();
  bool glitch(uint64_t& counter, uint64_t limit);
  void turn_second();
  void count_reset(int32_t stream);
  void add_unsent(size_t bytes);
  void take_unsent(size_t bytes);
  void drop_unsent(Exchange& exchange);
  bool choked() const;

  std::unique_ptr<Stream> stream_;
  Owner* owner_;
  const Settings settings_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, std::shared_ptr<Exchange>> exchanges_;
  async::Event wake_, written_;
  bool waiting_ = false, sent_ = false, sent_since_ping_ = false, over_ = false, going_away_ = false, close_when_sent_ = false;
  std::string output_;
  std::vector<Piece> pieces_;
  size_t output_bytes_ = 0, unsent_ = 0;
  int32_t newest_ = 0, window_newest_ = 0;  // streams: the last one opened, and at the beginning of the second
  MonoTime last_read_{}, window_start_{};
  uint64_t resets_ = 0, oddities_ = 0;
};

}  // namespace rs::net::h2
