// exec and attach over WebSocket: v5.channel.k8s.io, v4.channel.k8s.io and channel.k8s.io (apimachinery
// pkg/util/remotecommand; KEP-4006). Binary messages; the first byte is the channel.
#include "api/meta.h"
#include "async/event.h"
#include "async/task_group.h"
#include "net/websocket.h"
#include "server/streaming/streaming.h"

namespace rs::server {
namespace {
constexpr char kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4;
constexpr char kClose = char(255);
constexpr std::string_view kV5 = "v5.channel.k8s.io", kV4 = "v4.channel.k8s.io", kV1 = "channel.k8s.io";
constexpr size_t kMessageBytes = 4 << 20;

// Shared by the two directions: it outlives the request when that is cancelled.
struct Session {
  explicit Session(async::Loop& loop) : ended(loop) {}
  std::unique_ptr<client::ExecSession> command;
  std::unique_ptr<net::WebSocket> socket;
  client::ExecOptions options;
  async::Event ended;
  bool done = false;
  void finish() {
    done = true;
    ended.notify();
  }
};

std::string exit_status(int code, std::string_view message, bool structured) {
  if (!structured) return code == 0 ? std::string() : fmt::format("command terminated with non-zero exit code: {}", message);
  if (code == 0) return R"({"metadata":{},"status":"Success"})";
  JsonObject cause{{"reason", "ExitCode"}, {"message", std::to_string(code)}};
  JsonObject out{{"metadata", JsonObject()}, {"status", "Failure"}};
  out["message"] = fmt::format("command terminated with non-zero exit code: {}", message);
  out["reason"] = "NonZeroExitCode";
  out["details"] = JsonObject{{"causes", JsonArray{std::move(cause)}}};
  return to_text(out);
}

std::string error_status(const Error& error) {
  return to_text(status_json(Error{Code::kInternalError, to_string(error)}));
}

net::WebSocketMessage on_channel(char channel, std::string_view data) {
  std::string bytes(1, channel);
  bytes += data;
  return {.text = false, .data = std::move(bytes)};
}

awaitable<void> pump_output(std::shared_ptr<Session> session) {
  bool structured = session->socket->protocol() != kV1 && !session->socket->protocol().empty();
  std::string status;
  while (true) {
    auto output = co_await session->command->read();
    if (!output) {
      status = structured ? error_status(output.error()) : to_string(output.error());
      break;
    }
    using Channel = client::ExecSession::Output::Channel;
    if (output->channel == Channel::kExit) {
      status = exit_status(output->exit_code, fmt::format("exit status {}", output->exit_code), structured);
      break;
    }
    char channel = output->channel == Channel::kStdout ? kStdout : kStderr;
    if (!(co_await session->socket->write(on_channel(channel, output->data)))) co_return session->finish();
  }
  if (!status.empty() || structured) (void)co_await session->socket->write(on_channel(kError, status));
  co_await session->socket->close(1000, "");
  session->finish();
}

void take_resize(Session& session, std::string_view payload) {
  auto size = parse_json(payload, {.depth = 4, .bytes = 1024});
  if (!size) return;
  auto clamped = [](int64_t value) { return uint16_t(std::clamp<int64_t>(value, 0, 65535)); };
  session.command->resize(clamped(integer(*size, "Width")), clamped(integer(*size, "Height")));
}

// The client's messages; ends when it closes.
awaitable<void> pump_input(std::shared_ptr<Session> session) {
  bool closes = session->socket->protocol() == kV5;
  while (true) {
    auto message = co_await session->socket->read();
    if (!message || !message->has_value()) break;
    const std::string& data = (*message)->data;
    if (data.empty()) continue;
    std::string_view payload = std::string_view(data).substr(1);
    if (data[0] == kStdin && session->options.in) {
      if (!payload.empty() && !(co_await session->command->write_stdin(std::string(payload)))) session->command->close_stdin();
    } else if (data[0] == kResize && session->options.tty) {
      take_resize(*session, payload);
    } else if (data[0] == kClose && closes && payload == std::string_view("\0", 1)) {
      session->command->close_stdin();
    }
  }
  session->finish();
}

Result<client::ExecOptions> exec_options(const StreamContext& context, const PodTarget& target) {
  const net::Target& query = context.info.target;
  client::ExecOptions options;
  options.ns = context.info.ns;
  options.pod = context.info.name;
  options.container = target.container;
  options.in = is_true(query.param("stdin"));
  options.out = is_true(query.param("stdout"));
  options.err = is_true(query.param("stderr"));
  options.tty = is_true(query.param("tty"));
  if (context.info.subresource == "exec") {
    options.command = query.params("command");
    if (options.command.empty()) return fail(Code::kBadRequest, "you must specify at least one command for the container");
  }
  if (!options.in && !options.out && !options.err)
    return fail(Code::kBadRequest, "you must specify at least one of stdin, stdout, stderr");
  if (options.tty) options.err = false;
  std::string_view phase = str(target.pod, "status", "phase");
  if (phase == "Succeeded" || phase == "Failed")
    return fail(Code::kBadRequest, "cannot exec into a container in a completed pod; current phase is {}", phase);
  return options;
}
}  // namespace

awaitable<Result<void>> handle_exec(StreamContext context) {
  auto target = co_await find_pod_target(context.core, context.pods, context.info, true);
  if (!target) co_return std::unexpected(target.error());
  auto options = exec_options(context, *target);
  if (!options) co_return std::unexpected(options.error());
  if (!net::is_websocket_upgrade(context.request))
    co_return fail(Code::kBadRequest, "unable to upgrade: a WebSocket upgrade is required");
  if (target->node == nullptr) co_return fail(Code::kBadRequest, "pod {} does not have a host assigned", context.info.name);
  auto session = std::make_shared<Session>(context.core.loop);
  session->options = *options;
  auto command = co_await target->node->exec(std::move(*options));
  if (!command) co_return std::unexpected(command.error());
  session->command = std::move(*command);
  std::vector<std::string> accepted;
  if (context.request.headers.has("Sec-WebSocket-Protocol")) accepted = {std::string(kV5), std::string(kV4), std::string(kV1)};
  auto socket = co_await net::websocket_accept(context.core.loop, context.request, context.writer, accepted, kMessageBytes);
  if (!socket) co_return std::unexpected(socket.error());
  session->socket = std::move(*socket);
  // Clients wait for a first, empty message on the lowest channel that the server writes to.
  if (!(co_await session->socket->write(on_channel(session->options.out ? kStdout : kStderr, "")))) co_return Result<void>();
  async::TaskGroup pumps(context.core.loop);
  pumps.spawn("exec output", pump_output(session));
  pumps.spawn("exec input", pump_input(session));
  while (!session->done) co_await session->ended.wait();
  co_await pumps.stop();
  co_return Result<void>();
}

}  // namespace rs::server
