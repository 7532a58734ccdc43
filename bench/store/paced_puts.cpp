#include <algorithm>

#include <fmt/format.h>

#include "scenario.h"

namespace rs::bench {
namespace {

constexpr int64_t kDrainTimeoutNs = 60'000'000'000;
constexpr int64_t kDoneTimeoutNs = 300'000'000'000;

}  // namespace

PacedPuts::PacedPuts(Loop& loop, const ServerProcess& server, uint32_t connections, double per_s,
                     MakeMessage make)
    : loop_(loop), make_(std::move(make)), interval_ns_(int64_t(1e9 / per_s)) {
  for (uint32_t i = 0; i < connections; ++i)
    connections_.push_back(std::make_unique<Connection>(loop, server.host(), server.port()));
}

LoadResult PacedPuts::run(double seconds, const std::function<bool()>& done) {
  result_ = {};
  sent_ = answered_ = failed_ = 0;
  begin_ns_ = last_answer_ns_ = now_ns();
  const int64_t end_ns = begin_ns_ + int64_t(seconds * 1e9);
  for (int64_t now = begin_ns_; now < end_ns || (done && !done()); now = now_ns()) {
    if (now > end_ns + kDoneTimeoutNs)
      throw BenchError("what was waited for did not happen in time");
    for (; due_ns(sent_) <= now; ++sent_) {
      Connection& connection = *connections_[sent_ % connections_.size()];
      connection.call(kPutPath, make_(sent_, due_ns(sent_)), *this, uint32_t(sent_));
      connection.flush();
    }
    loop_.run_for(due_ns(sent_) - now_ns());
  }
  loop_.run_until([&] { return answered_ + failed_ == sent_; }, now_ns() + kDrainTimeoutNs,
                  "paced puts");
  result_.seconds = double(last_answer_ns_ - begin_ns_) / 1e9;
  return std::move(result_);
}

void PacedPuts::on_end(const Stream& stream) {
  int64_t now = now_ns();
  ++answered_;
  result_.latency.record(now - due_ns(stream.user));
  result_.longest_gap_ns = std::max(result_.longest_gap_ns, now - last_answer_ns_);
  last_answer_ns_ = now;
}

void PacedPuts::on_fail(const Stream&, int, const std::string&) {
  ++failed_;
}

}  // namespace rs::bench
