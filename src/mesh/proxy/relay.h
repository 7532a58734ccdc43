// Moving bytes: bodies of messages with their framing, and tunnels.
#pragma once

#include "mesh/proxy/worker.h"
#include "net/http1.h"

namespace rs::mesh {

// Ends a connection by closing streams when a deadline passes. remaining streams stay open when null.
class StreamDeadline final : public Deadline {
 public:
  std::shared_ptr<net::Stream> first, second;
  bool passed = false;

 protected:
  void expired() override {
    passed = true;
    if (first) first->close();
    if (second) second->close();
  }
};

// How a body's bytes come in, and how they are to go out. Pure: the bytes of one read become the bytes of one write.
class BodyCoder {
 public:
  using Framing = net::http1::Framing;
  // chunked_out: write chunks; else the content as it is.
  BodyCoder(Framing in, bool chunked_out) : in_(in), chunked_out_(chunked_out), left_(in.length) {}

  // Takes of bytes what belongs to the body (all, unless done); appends what is to be written. content: its length
  // without framing. kBadRequest: malformed chunks.
  Result<size_t> code(std::string_view bytes, std::string& out, size_t* content = nullptr);
  // The peer ended its stream: true when the body may end so.
  bool end_of_stream(std::string& out);
  bool done() const { return done_ || (in_.kind == Framing::Kind::kLength && left_ == 0) || in_.kind == Framing::Kind::kNone; }

 private:
  void finish_chunks(std::string& out, const net::Headers& trailers);
  Framing in_;
  bool chunked_out_;
  uint64_t left_;
  bool done_ = false;
  net::http1::ChunkedDecoder decoder_;
  std::string content_;
};

// Both directions until both have ended, each half closed as its source ends. Bytes already read from a go first.
struct TunnelCounts {
  uint64_t a_to_b = 0, b_to_a = 0;
};
async::awaitable<TunnelCounts> tunnel(Worker& worker, std::shared_ptr<net::Stream> a, Buffer from_a,
                                      std::shared_ptr<net::Stream> b, Buffer from_b);

}  // namespace rs::mesh
