#include "sim/sim_network.h"

#include "async/event.h"
#include "async/task_group.h"

namespace rs::sim {

using net::Address;
using net::awaitable;
namespace asio = boost::asio;

// One direction of a connection: bytes with the moment they arrive.
struct SimNetwork::Pipe {
  Pipe(SimLoop& loop, std::string sender, std::string receiver)
      : from(std::move(sender)), to(std::move(receiver)), changed(loop) {}
  struct Chunk {
    MonoTime arrives;
    std::string bytes;
  };
  std::string from, to;
  std::deque<Chunk> chunks;
  bool ended = false;    // no more bytes will be written
  bool broken = false;
  async::Event changed;
};

class SimNetwork::Endpoint final : public net::Stream {
 public:
  Endpoint(SimNetwork& network, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Address local, Address peer)
      : network_(network), in_(std::move(in)), out_(std::move(out)), local_(std::move(local)), peer_(std::move(peer)) {}
  ~Endpoint() override { close(); }

  awaitable<Result<size_t>> read(asio::mutable_buffer buffer) override {
    auto in = in_;
    for (;;) {
      if (in->broken) co_return fail(Code::kUnavailable, "connection reset by peer");
      auto& loop = network_.loop_;
      bool reachable = network_.connected(in->from, in->to);
      if (!in->chunks.empty() && reachable && in->chunks.front().arrives <= loop.now()) {
        auto& chunk = in->chunks.front();
        size_t count = std::min(buffer.size(), chunk.bytes.size());
        std::memcpy(buffer.data(), chunk.bytes.data(), count);
        chunk.bytes.erase(0, count);
        if (chunk.bytes.empty()) in->chunks.pop_front();
        network_.bytes_carried_ += count;
        co_return count;
      }
      if (in->chunks.empty() && in->ended && reachable) co_return 0;
      if (!in->chunks.empty() && reachable) co_await loop.sleep(in->chunks.front().arrives - loop.now());
      else if (!reachable) co_await loop.sleep(std::chrono::milliseconds(10));
      else co_await in->changed.wait();
    }
  }

  awaitable<Result<void>> write(std::span<const asio::const_buffer> buffers) override {
    if (out_->broken || out_->ended) co_return fail(Code::kUnavailable, "broken pipe");
    if (network_.loop_.random().chance(network_.options_.break_probability)) {
      break_both();
      co_return fail(Code::kUnavailable, "connection reset by peer");
    }
    std::string bytes;
    for (const auto& buffer : buffers) bytes.append(static_cast<const char*>(buffer.data()), buffer.size());
    MonoTime arrives = network_.loop_.now() + network_.delay();
    if (!out_->chunks.empty()) arrives = std::max(arrives, out_->chunks.back().arrives);  // a stream keeps its order
    out_->chunks.push_back({arrives, std::move(bytes)});
    out_->changed.notify();
    co_return Result<void>();
  }

  awaitable<Result<void>> shutdown_write() override {
    out_->ended = true;
    out_->changed.notify();
    co_return Result<void>();
  }

  void close() override {
    out_->ended = true;
    out_->changed.notify();
    in_->broken = true;
    in_->changed.notify();
  }
  Address local() const override { return local_; }
  Address peer() const override { return peer_; }

 private:
  void break_both() {
    for (auto& pipe : {in_, out_}) {
      pipe->broken = true;
      pipe->changed.notify();
    }
  }
  SimNetwork& network_;
  std::shared_ptr<Pipe> in_, out_;
  Address local_, peer_;
};

class SimNetwork::Port final : public net::Listener {
 public:
  Port(SimNetwork& network, Address address) : network_(network), address_(std::move(address)), changed_(network.loop_) {
    network_.ports_[address_] = this;
  }
  ~Port() override { close(); }
  awaitable<Result<std::unique_ptr<net::Stream>>> accept() override {
    while (waiting_.empty()) {
      if (closed_) co_return fail(Code::kUnavailable, "the listener is closed");
      co_await changed_.wait();
    }
    auto stream = std::move(waiting_.front());
    waiting_.pop_front();
    co_return std::move(stream);
  }
  Address local() const override { return address_; }
  void close() override {
    if (std::exchange(closed_, true)) return;
    network_.ports_.erase(address_);
    changed_.notify();
  }
  void offer(std::unique_ptr<net::Stream> stream) {
    waiting_.push_back(std::move(stream));
    changed_.notify();
  }

 private:
  SimNetwork& network_;
  Address address_;
  std::deque<std::unique_ptr<net::Stream>> waiting_;
  bool closed_ = false;
  async::Event changed_;
};

class SimNetwork::Host final : public net::Network {
 public:
  Host(SimNetwork& network, std::string name) : network_(network), name_(std::move(name)) {}

  Result<std::unique_ptr<net::Listener>> listen(const Address& address) override {
    Address own{name_, address.port == 0 ? network_.next_port_++ : address.port};
    if (network_.ports_.contains(own)) return fail(Code::kAlreadyExists, "port {} is taken", own.port);
    return std::make_unique<Port>(network_, own);
  }

  awaitable<Result<std::unique_ptr<net::Stream>>> connect(const Address& address, Duration timeout) override {
    auto& loop = network_.loop_;
    MonoTime deadline = loop.now() + timeout;
    while (!network_.connected(name_, address.host)) {
      if (loop.now() >= deadline) co_return fail(Code::kTimeout, "connect to {}: no answer", net::to_string(address));
      co_await loop.sleep(std::min(Duration(std::chrono::milliseconds(10)), deadline - loop.now()));
    }
    co_await loop.sleep(network_.delay());
    auto port = network_.ports_.find(address);
    if (port == network_.ports_.end()) co_return fail(Code::kUnavailable, "connect to {}: connection refused", net::to_string(address));
    auto there = std::make_shared<Pipe>(loop, name_, address.host);
    auto back = std::make_shared<Pipe>(loop, address.host, name_);
    Address own{name_, network_.next_port_++};
    port->second->offer(std::make_unique<Endpoint>(network_, there, back, address, own));
    co_return std::make_unique<Endpoint>(network_, back, there, own, address);
  }

 private:
  SimNetwork& network_;
  std::string name_;
};

SimNetwork::SimNetwork(SimLoop& loop, LinkOptions options) : loop_(loop), options_(options) {}
SimNetwork::~SimNetwork() = default;

net::Network& SimNetwork::host(const std::string& name) {
  auto& entry = hosts_[name];
  if (!entry) entry = std::make_unique<Host>(*this, name);
  return *entry;
}

void SimNetwork::partition(const std::string& a, const std::string& b) {
  partitions_.emplace(a, b);
  partitions_.emplace(b, a);
}
void SimNetwork::heal() { partitions_.clear(); }
bool SimNetwork::connected(const std::string& a, const std::string& b) const { return !partitions_.contains({a, b}); }
Duration SimNetwork::delay() {
  return Duration(loop_.random().between(options_.delay_min.count(), options_.delay_max.count()));
}

}  // namespace rs::sim
