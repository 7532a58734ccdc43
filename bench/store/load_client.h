// A gRPC client made for load: HTTP/2 frames written and read by hand, HPACK by nghttp2, one
// thread, epoll. It shares the machine with the server that it measures, so what a call costs here
// hides the server: header blocks are encoded once a connection and method, an answer is read where
// it was received, requests born while answers are read leave in one send. Every server is told the
// same windows (kStreamWindow, kConnectionWindow). Failures throw BenchError: a benchmark in which
// something failed has no figures.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace rs::bench {

struct BenchError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

int64_t now_ns();  // monotonic

constexpr uint32_t kStreamWindow = 4 << 20;
constexpr uint32_t kConnectionWindow = 64 << 20;

class Connection;
class Loop;

// What a stream's user keeps with it.
struct Stream {
  Connection* connection = nullptr;
  uint32_t id = 0;
  uint32_t user = 0;
  int64_t begin_ns = 0;
};

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // message points into the receive buffer; empty when the connection is told to count only.
  virtual void on_message(Stream& stream, std::string_view message) = 0;
  // Ended with status 0. May start another call.
  virtual void on_end(const Stream&) {}
  // Ended with another status. Unless overridden: throws BenchError.
  virtual void on_fail(const Stream& stream, int status, const std::string& message);
};

class Connection {
 public:
  Connection(Loop& loop, const std::string& host, uint16_t port);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Queued until flush(); a message must fit the server's stream window (64 KiB at first). Returns
  // the stream's id.
  uint32_t call(std::string_view path, std::string_view message, StreamHandler& handler,
                uint32_t user = 0);
  uint32_t open(std::string_view path, std::string_view message, StreamHandler& handler,
                uint32_t user = 0);
  void send(uint32_t stream_id, std::string_view message);
  void flush();
  size_t streams() const { return streams_.size(); }
  uint64_t bytes_received() const { return bytes_received_; }
  // Answers are counted, not kept: for lists of many megabytes.
  void count_only() { count_only_ = true; }

  void on_event(uint32_t events);  // for Loop
  int fd() const { return fd_; }

 private:
  struct State {
    Stream stream;
    StreamHandler* handler = nullptr;
    std::string partial;          // a message that has not wholly come
    size_t skip_bytes = 0;        // of a message that is only counted
    uint32_t consumed_bytes = 0;  // since the last WINDOW_UPDATE
  };
  struct Queued {
    uint32_t stream_id;
    std::string message;
    bool end;
  };
  uint32_t start(std::string_view path, std::string_view message, StreamHandler& handler,
                 uint32_t user, bool end);
  void write_headers(uint32_t stream_id, std::string_view path);
  void write_data(uint32_t stream_id, std::string_view message, bool end);
  void write_window_update(uint32_t stream_id, uint32_t bytes);
  void put_data(uint32_t stream_id, std::string_view message, bool end);
  void drain_queue();
  void receive();
  size_t read_frames(std::string_view in);
  void on_frame(uint8_t type, uint8_t flags, uint32_t stream_id, std::string_view payload);
  void on_data(uint32_t stream_id, std::string_view payload, bool end);
  void read_messages(size_t index, std::string_view data);
  void on_headers(uint32_t stream_id, std::string_view block, bool end);
  int inflate(std::string_view block, std::string& message);
  void on_settings(std::string_view payload);
  void finish(size_t index, int status, const std::string& message);
  size_t find(uint32_t stream_id) const;

  Loop& loop_;
  int fd_ = -1;
  std::string authority_, out_, leftover_;
  size_t out_sent_ = 0;
  bool waiting_for_writable_ = false, reading_ = false, count_only_ = false;
  uint32_t next_stream_id_ = 1;
  uint64_t bytes_received_ = 0;
  int64_t send_window_ = 65535;
  uint32_t consumed_bytes_ = 0;
  std::vector<State> streams_;  // a stream's place changes; its id does not
  std::vector<Queued> queue_;   // waits for the server's connection window
  nghttp2_hd_deflater* deflater_ = nullptr;
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::map<std::string, std::string, std::less<>>
      header_blocks_;        // by path; of indexed fields only
  std::string ok_trailers_;  // a block of indexed fields only that said status 0
};

class Loop {
 public:
  Loop();
  ~Loop();
  // Until done() (asked after each batch of events), or throws BenchError once the deadline
  // (now_ns) has passed or the program was asked to stop.
  void run_until(const std::function<bool()>& done, int64_t deadline_ns, const char* what);
  // Until the moment; events are handled meanwhile.
  void run_for(int64_t ns);

  void add(Connection& connection);
  void want_writable(Connection& connection, bool wanted);
  std::vector<char>& scratch() { return scratch_; }

 private:
  void poll(int64_t until_ns);
  int epoll_ = -1;
  std::vector<char> scratch_;
};

// One call, waited for: for set-up, not for measuring. Returns the answer.
std::string call_once(Loop& loop, Connection& connection, std::string_view path,
                      std::string_view message, int64_t timeout_ns = 10'000'000'000);

extern volatile int g_stop_signal;  // set by main's signal handler

}  // namespace rs::bench
