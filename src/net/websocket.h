// WebSocket (RFC 6455): server side over an upgraded HTTP/1.1 request, client side for tests and tools.
#pragma once

#include "net/http.h"

namespace rs::net {

struct WebSocketMessage {
  bool text = false;
  std::string data;
};

// Pings are answered by read(). One reader and any number of writers (on the loop).
class WebSocket {
 public:
  virtual ~WebSocket() = default;
  virtual std::string_view protocol() const = 0;                    // the negotiated Sec-WebSocket-Protocol
  virtual awaitable<Result<std::optional<WebSocketMessage>>> read() = 0;  // nothing: closed by the peer
  virtual awaitable<Result<void>> write(WebSocketMessage message) = 0;
  virtual awaitable<void> close(uint16_t code, std::string reason) = 0;
};

bool is_websocket_upgrade(const Request& request);
// Chooses the first protocol the client offers that is in accepted (empty accepted: none needed). kBadRequest when the
// request is no upgrade or no protocol fits. message_bytes bounds one message.
awaitable<Result<std::unique_ptr<WebSocket>>> websocket_accept(async::Loop& loop, const Request& request,
                                                               ResponseWriter& writer,
                                                               const std::vector<std::string>& accepted,
                                                               size_t message_bytes = 1 << 20);
awaitable<Result<std::unique_ptr<WebSocket>>> websocket_connect(async::Loop& loop, HttpClient& client, Request request,
                                                                const std::vector<std::string>& protocols,
                                                                Duration timeout);

}  // namespace rs::net
