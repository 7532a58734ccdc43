#include "net/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "async/event.h"
#include "net/text.h"
#include "net/websocket_frame.h"

namespace rs::net {
namespace {

constexpr uint16_t kNormalClosure = 1000, kProtocolError = 1002, kTooBig = 1009;

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return out;
}

// RFC 6455 section 4.2.2: the proof that the server understood the handshake.
std::string accept_key(std::string_view key) {
  std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return base64(std::string_view(reinterpret_cast<const char*>(digest), sizeof digest));
}

std::vector<std::string> offered_protocols(const Request& request) {
  std::vector<std::string> out;
  for (std::string_view list : request.headers.all("sec-websocket-protocol")) {
    while (!list.empty()) {
      auto comma = std::min(list.find(','), list.size());
      if (auto name = trim(list.substr(0, comma)); !name.empty()) out.emplace_back(name);
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  return out;
}

class Session final : public WebSocket {
 public:
  Session(async::Loop& loop, std::unique_ptr<Stream> stream, std::string protocol, bool server, size_t message_bytes)
      : loop_(loop),
        stream_(std::move(stream)),
        protocol_(std::move(protocol)),
        server_(server),
        message_bytes_(message_bytes),
        written_(loop) {}

  std::string_view protocol() const override { return protocol_; }

  awaitable<Result<std::optional<WebSocketMessage>>> read() override {
    WebSocketMessage message;
    bool begun = false;
    for (;;) {
      auto frame = take_frame(buffer_, server_, message_bytes_);
      if (!frame) co_return co_await refuse(frame.error());
      if (!frame->has_value()) {
        char bytes[16384];
        auto count = co_await stream_->read(asio::buffer(bytes));
        if (!count) co_return fail(count.error());
        if (*count == 0) co_return std::nullopt;
        buffer_.append(bytes, *count);
        continue;
      }
      Frame& next = **frame;
      switch (next.opcode) {
        case Opcode::kPing:
          if (auto sent = co_await send(Opcode::kPong, std::move(next.payload)); !sent) co_return fail(sent.error());
          continue;
        case Opcode::kPong:
          continue;
        case Opcode::kClose:
          co_await close(kNormalClosure, {});
          co_return std::nullopt;
        default:
          break;
      }
      if ((next.opcode == Opcode::kContinuation) != begun)
        co_return co_await refuse({Code::kBadRequest, "a message's pieces are out of order"});
      if (!begun) message.text = next.opcode == Opcode::kText;
      begun = true;
      if (message.data.size() + next.payload.size() > message_bytes_)
        co_return co_await refuse({Code::kRequestEntityTooLarge, fmt::format("a message of more than {} bytes", message_bytes_)});
      message.data += next.payload;
      if (next.final) co_return std::optional<WebSocketMessage>(std::move(message));
    }
  }

  awaitable<Result<void>> write(WebSocketMessage message) override {
    return send(message.text ? Opcode::kText : Opcode::kBinary, std::move(message.data));
  }

  awaitable<void> close(uint16_t code, std::string reason) override {
    if (std::exchange(close_sent_, true)) co_return;
    std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    payload += reason.substr(0, 123);
    (void)co_await send(Opcode::kClose, std::move(payload));
    (void)co_await stream_->shutdown_write();
  }

 private:
  awaitable<Result<std::optional<WebSocketMessage>>> refuse(Error error) {
    co_await close(error.code == Code::kRequestEntityTooLarge ? kTooBig : kProtocolError, error.message);
    co_return fail(std::move(error));
  }

  awaitable<Result<void>> send(Opcode opcode, std::string payload) {
    while (writing_) co_await written_.wait();
    writing_ = true;
    struct Done {
      Session& session;
      ~Done() {
        session.writing_ = false;
        session.written_.notify();
      }
    } done{*this};
    std::optional<uint32_t> mask;
    if (!server_) mask = static_cast<uint32_t>(loop_.random().next());
    std::string frame = encode_frame(opcode, true, payload, mask);
    asio::const_buffer buffers[] = {asio::buffer(frame)};
    co_return co_await stream_->write(buffers);
  }

  async::Loop& loop_;
  std::unique_ptr<Stream> stream_;
  std::string protocol_;
  const bool server_;
  const size_t message_bytes_;
  std::string buffer_;
  bool writing_ = false, close_sent_ = false;
  async::Event written_;
};

}  // namespace

bool is_websocket_upgrade(const Request& request) {
  return request.method == "GET" && list_has(request.headers.get("connection"), "upgrade") &&
         list_has(request.headers.get("upgrade"), "websocket");
}

awaitable<Result<std::unique_ptr<WebSocket>>> websocket_accept(async::Loop& loop, const Request& request,
                                                               ResponseWriter& writer,
                                                               const std::vector<std::string>& accepted,
                                                               size_t message_bytes) {
  if (!is_websocket_upgrade(request)) co_return fail(Code::kBadRequest, "this request is no WebSocket upgrade");
  if (request.headers.get("sec-websocket-version") != "13")
    co_return fail(Code::kBadRequest, "the WebSocket version must be 13");
  auto key = request.headers.get("sec-websocket-key");
  if (key.size() != 24) co_return fail(Code::kBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64");
  auto offered = offered_protocols(request);
  std::string protocol;
  for (const auto& name : offered) {
    if (protocol.empty() && std::find(accepted.begin(), accepted.end(), name) != accepted.end()) protocol = name;
  }
  if (protocol.empty() && !accepted.empty() && std::find(accepted.begin(), accepted.end(), "") == accepted.end())
    co_return fail(Code::kBadRequest, "unable to negotiate protocol: client supports [{}], server accepts [{}]",
                   fmt::join(offered, ", "), fmt::join(accepted, ", "));
  Headers headers{{"upgrade", "websocket"}, {"connection", "Upgrade"}, {"sec-websocket-accept", accept_key(key)}};
  if (!protocol.empty()) headers.add("sec-websocket-protocol", protocol);
  auto stream = co_await writer.upgrade(std::move(headers));
  if (!stream) co_return fail(stream.error());
  co_return std::make_unique<Session>(loop, std::move(*stream), std::move(protocol), true, message_bytes);
}

awaitable<Result<std::unique_ptr<WebSocket>>> websocket_connect(async::Loop& loop, HttpClient& client, Request request,
                                                                const std::vector<std::string>& protocols,
                                                                Duration timeout) {
  uint64_t nonce[2] = {loop.random().next(), loop.random().next()};
  std::string key = base64(std::string_view(reinterpret_cast<const char*>(nonce), sizeof nonce));
  request.headers.set("connection", "Upgrade");
  request.headers.set("upgrade", "websocket");
  request.headers.set("sec-websocket-version", "13");
  request.headers.set("sec-websocket-key", key);
  if (!protocols.empty()) request.headers.set("sec-websocket-protocol", fmt::format("{}", fmt::join(protocols, ", ")));
  auto upgraded = co_await client.upgrade(std::move(request), timeout);
  if (!upgraded) co_return fail(upgraded.error());
  auto& [response, stream] = *upgraded;
  if (response.headers.get("sec-websocket-accept") != accept_key(key))
    co_return fail(Code::kUnavailable, "the server's Sec-WebSocket-Accept does not fit");
  std::string protocol(response.headers.get("sec-websocket-protocol"));
  static constexpr size_t kMessageBytes = 16u << 20;
  co_return std::make_unique<Session>(loop, std::move(stream), std::move(protocol), false, kMessageBytes);
}

}  // namespace rs::net
