// portforward over WebSocket: v4.channel.k8s.io, two channels a port (2i data, 2i+1 error), each opened by the server
// with the port's two bytes, little endian (kubelet pkg/cri/streaming/portforward/websocket.go).
#include "api/meta.h"
#include "async/event.h"
#include "async/task_group.h"
#include "net/websocket.h"
#include "server/streaming/streaming.h"

namespace rs::server {
namespace {
constexpr size_t kPortLimit = 64;
constexpr size_t kReadBytes = 32 << 10;
constexpr std::string_view kV4 = "v4.channel.k8s.io";

struct Forward {
  explicit Forward(async::Loop& loop) : ended(loop) {}
  std::unique_ptr<net::WebSocket> socket;
  std::vector<std::unique_ptr<net::Stream>> streams;   // by index of port; null: could not connect
  async::Event ended;
  bool done = false;
  void finish() {
    done = true;
    ended.notify();
  }
};

std::string framed(size_t channel, std::string_view data) {
  std::string out(1, char(channel));
  return out += data;
}

awaitable<void> pump_from_pod(std::shared_ptr<Forward> forward, size_t index) {
  std::string buffer(kReadBytes, '\0');
  while (true) {
    auto count = co_await forward->streams[index]->read(net::asio::buffer(buffer));
    if (!count || *count == 0) break;
    std::string message = framed(index * 2, std::string_view(buffer).substr(0, *count));
    if (!(co_await forward->socket->write({.text = false, .data = std::move(message)}))) break;
  }
  forward->finish();
}

awaitable<void> pump_to_pod(std::shared_ptr<Forward> forward) {
  while (true) {
    auto message = co_await forward->socket->read();
    if (!message || !message->has_value()) break;
    const std::string& data = (*message)->data;
    size_t channel = data.empty() ? 1 : static_cast<unsigned char>(data[0]);
    if (channel % 2 != 0 || channel / 2 >= forward->streams.size()) continue;
    net::Stream* stream = forward->streams[channel / 2].get();
    if (stream == nullptr) continue;
    if (!(co_await stream->write(std::string_view(data).substr(1)))) break;
  }
  forward->finish();
}

Result<std::vector<uint16_t>> ports_of(const net::Target& target) {
  std::vector<uint16_t> ports;
  for (const std::string& list : target.params("ports")) {
    std::string_view rest = list;
    while (!rest.empty()) {
      std::string text(rest.substr(0, rest.find(',')));
      rest.remove_prefix(std::min(rest.size(), text.size() + 1));
      bool digits = !text.empty() && text.size() < 6 && text.find_first_not_of("0123456789") == std::string::npos;
      int port = digits ? std::stoi(text) : 0;
      if (port < 1 || port > 65535) return fail(Code::kBadRequest, "port must be greater than 0 and at most 65535: \"{}\"", text);
      ports.push_back(uint16_t(port));
    }
  }
  if (ports.empty() || ports.size() > kPortLimit)
    return fail(Code::kBadRequest, "query parameter \"ports\" is required, with 1 to {} ports", kPortLimit);
  return ports;
}

awaitable<Result<void>> forward_channels(StreamContext context, PodTarget target) {
  auto ports = ports_of(context.info.target);
  if (!ports) co_return std::unexpected(ports.error());
  auto socket = co_await net::websocket_accept(context.core.loop, context.request, context.writer, {std::string(kV4)});
  if (!socket) co_return std::unexpected(socket.error());
  auto forward = std::make_shared<Forward>(context.core.loop);
  forward->socket = std::move(*socket);
  for (size_t i = 0; i < ports->size(); ++i) {
    uint16_t port = (*ports)[i];
    std::string opening{char(port & 0xff), char(port >> 8)};
    for (size_t channel : {2 * i, 2 * i + 1})
      if (!(co_await forward->socket->write({.text = false, .data = framed(channel, opening)}))) co_return Result<void>();
    auto stream = co_await target.node->port_forward(context.info.ns, context.info.name, port);
    forward->streams.push_back(stream ? std::move(*stream) : nullptr);
    if (!stream) (void)co_await forward->socket->write({.text = false, .data = framed(2 * i + 1, to_string(stream.error()))});
  }
  async::TaskGroup pumps(context.core.loop);
  for (size_t i = 0; i < forward->streams.size(); ++i)
    if (forward->streams[i] != nullptr) pumps.spawn("port-forward from pod", pump_from_pod(forward, i));
  pumps.spawn("port-forward to pod", pump_to_pod(forward));
  while (!forward->done) co_await forward->ended.wait();
  co_await pumps.stop();
  co_await forward->socket->close(1000, "");
  co_return Result<void>();
}
}  // namespace

awaitable<Result<void>> handle_port_forward(StreamContext context) {
  auto target = co_await find_pod_target(context.core, context.pods, context.info, false);
  if (!target) co_return std::unexpected(target.error());
  if (!net::is_websocket_upgrade(context.request))
    co_return fail(Code::kBadRequest, "unable to upgrade: a WebSocket upgrade is required");
  if (target->node == nullptr || str(target->pod, "status", "phase") != "Running")
    co_return fail(Code::kBadRequest, "unable to forward port because pod is not running. Current status={}",
                   str(target->pod, "status", "phase"));
  co_return co_await forward_channels(context, std::move(*target));
}

}  // namespace rs::server
