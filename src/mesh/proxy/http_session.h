// HttpSession: one client connection speaking HTTP/1.1 (RFC 9110, 9112), its requests served in order.
//
// The path of a request: read head -> route -> hold a small body -> (dial -> send -> await head) up to `attempts` times
// -> relay the answer. A request is sent again only if it is idempotent (RFC 9110 9.2.2: or carries an Idempotency-Key),
// its body is held, no byte of an answer has reached the client, and the retry budget allows. A failed connection may
// be replaced for any request: nothing was sent.
#pragma once

#include "mesh/proxy/dial.h"
#include "mesh/proxy/relay.h"
#include "net/http1.h"

namespace rs::mesh {

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(Worker& worker, std::shared_ptr<net::Stream> client, Buffer in, BackendPtr fixed);
  async::awaitable<void> run();

 private:
  using Framing = net::http1::Framing;
  struct Exchange {                      // one request and its answer
    net::http1::RequestHead head;
    std::string authority;
    Framing framing;
    BackendPtr backend;
    std::string hostname;
    bool upgrade = false, idempotent = false, may_retry = false, client_keeps = true;
    bool body_held = true;               // body has it all; else it streams through the pump
    std::string body;
    std::optional<BodyCoder> coder;      // of a streamed body
    MonoTime begun{}, answer_by{};
    std::optional<Duration> asked_timeout;
    int attempt = 0;
  };
  enum class Sent { kAnswered, kBrokenBeforeAnswer, kTimedOut, kBadAnswer };

  async::awaitable<bool> read_head(net::http1::RequestHead& head);
  async::awaitable<bool> serve(Exchange& exchange);                    // false: the connection ends
  async::awaitable<bool> prepare(Exchange& exchange, bool& keep);      // false: answered already
  async::awaitable<bool> hold_body(Exchange& exchange);
  async::awaitable<bool> forward(Exchange& exchange);
  async::awaitable<Sent> send_and_await(Exchange& exchange, Dialled& dialled, net::http1::ResponseHead& answer);
  async::awaitable<bool> relay_answer(Exchange& exchange, Dialled& dialled, net::http1::ResponseHead& answer);
  async::awaitable<bool> relay_answer_body(BodyCoder& coder, Upstream& upstream, std::string& out, bool& whole);
  async::awaitable<bool> settle_pump();
  async::awaitable<bool> refuse(Exchange& exchange, Refusal refusal);
  async::awaitable<void> tunnel_connect(Exchange& exchange);
  async::awaitable<void> linger();
  static async::awaitable<void> pump(std::shared_ptr<HttpSession> self, std::shared_ptr<Upstream> upstream, BodyCoder coder);
  void write_upstream_head(Exchange& exchange, std::string& out);
  bool should_retry(Exchange& exchange, bool nothing_sent);

  Worker& worker_;
  std::shared_ptr<net::Stream> client_;
  Buffer in_;
  BackendPtr fixed_;
  StreamDeadline deadline_;
  bool pumping_ = false, pump_whole_ = true;
  std::optional<async::Event> pump_ended_;
};

}  // namespace rs::mesh
