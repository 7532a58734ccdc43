#include "mesh/proxy/relay.h"

namespace rs::mesh {

using async::awaitable;
namespace http1 = net::http1;

void BodyCoder::finish_chunks(std::string& out, const net::Headers& trailers) {
  done_ = true;
  if (!chunked_out_) return;
  out += "0\r\n";
  http1::write_fields(out, trailers);
  out += "\r\n";
}

Result<size_t> BodyCoder::code(std::string_view bytes, std::string& out, size_t* content) {
  size_t taken = bytes.size(), length = 0;
  auto write = [&](std::string_view data) {
    length = data.size();
    if (data.empty()) return;
    if (chunked_out_) http1::write_chunk_size(out, data.size());
    out.append(data);
    if (chunked_out_) out += "\r\n";
  };
  switch (in_.kind) {
    case Framing::Kind::kNone: taken = 0; break;
    case Framing::Kind::kLength:
      taken = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      left_ -= taken;
      write(bytes.substr(0, taken));
      if (left_ == 0 && !done_) finish_chunks(out, {});
      break;
    case Framing::Kind::kUntilClose: write(bytes); break;
    case Framing::Kind::kChunked: {
      content_.clear();
      auto fed = decoder_.feed(bytes, content_);
      if (!fed) return fed;
      taken = *fed;
      write(content_);
      if (decoder_.done() && !done_) finish_chunks(out, decoder_.trailers());
      break;
    }
  }
  if (content != nullptr) *content = length;
  return taken;
}

bool BodyCoder::end_of_stream(std::string& out) {
  if (in_.kind != Framing::Kind::kUntilClose) return false;
  finish_chunks(out, {});
  return true;
}

namespace {

struct Tunnel {
  explicit Tunnel(async::Loop& loop) : ended(loop) {}
  std::shared_ptr<net::Stream> a, b;
  Buffer from_a, from_b;
  TunnelCounts counts;
  StreamDeadline deadline;
  bool b_to_a_done = false;
  async::Event ended;
};

// False when it broke.
awaitable<bool> copy(Worker& worker, std::shared_ptr<Tunnel> tunnel, bool from_a) {
  auto& source = from_a ? *tunnel->a : *tunnel->b;
  auto& target = from_a ? *tunnel->b : *tunnel->a;
  auto& buffer = from_a ? tunnel->from_a : tunnel->from_b;
  auto& count = from_a ? tunnel->counts.a_to_b : tunnel->counts.b_to_a;
  for (;;) {
    if (!buffer.empty()) {
      auto written = co_await target.write(buffer.view());
      if (!written) co_return false;
      count += buffer.size();
      buffer.consume(buffer.size());
    }
    tunnel->deadline.set(worker.wheel(), worker.loop().now() + worker.limits().tunnel_idle_timeout);
    // Small until the connection has shown that it carries much.
    auto read = co_await source.read(buffer.prepare(count < 65536 ? 4096 : worker.limits().relay_bytes));
    if (!read) co_return false;
    if (*read == 0) co_return (co_await target.shutdown_write()).has_value();
    buffer.commit(*read);
  }
}

awaitable<void> copy_back(Worker& worker, std::shared_ptr<Tunnel> tunnel) {
  bool whole = co_await copy(worker, tunnel, false);
  if (!whole) {
    tunnel->a->close();
    tunnel->b->close();
  }
  tunnel->b_to_a_done = true;
  tunnel->ended.notify();
}

}  // namespace

awaitable<TunnelCounts> tunnel(Worker& worker, std::shared_ptr<net::Stream> a, Buffer from_a,
                               std::shared_ptr<net::Stream> b, Buffer from_b) {
  auto both = std::make_shared<Tunnel>(worker.loop());
  both->a = std::move(a);
  both->b = std::move(b);
  both->from_a = std::move(from_a);
  both->from_b = std::move(from_b);
  both->deadline.first = both->a;
  both->deadline.second = both->b;
  worker.tasks().spawn("tunnel", copy_back(worker, both));
  bool whole = co_await copy(worker, both, true);
  if (!whole) {
    both->a->close();
    both->b->close();
  }
  while (!both->b_to_a_done) co_await both->ended.wait();
  both->deadline.clear();
  co_return both->counts;
}

}  // namespace rs::mesh
