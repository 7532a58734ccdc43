#include "store/etcd/guard.h"

#include <algorithm>

#include "base/log.h"
#include "store/mvcc/machine.h"

namespace rs::store::etcd {
namespace {

// What the JSON gateway adds to the calls it makes: the certificate, if any, is not their caller's
// (CVE-2018-16886).
constexpr std::string_view kGatewayField = "grpcgateway-accept";

}  // namespace

Guard::Guard(async::Loop& loop, Embedded& store, std::shared_ptr<auth::Tokens> tokens,
             GuardOptions options)
    : options_(options),
      store_(store),
      auth_(std::move(tokens), store.machine().lessor()),
      passwords_(loop) {}

Guard::~Guard() {
  *alive_ = false;
}

Result<void> Guard::load() {
  auto note = store_.load_note(auth::kNote);
  Result<auth::State> state;
  if (!note) {
    state = fail(note.error());
  } else if (note->has_value()) {
    state = auth::decode_state(**note);
  }
  if (!state) {
    auth_.install(std::make_shared<const auth::State>(auth::State{.enabled = true}));
    return fail(state.error());
  }
  auth_.install(std::make_shared<const auth::State>(std::move(*state)));
  return {};
}

Result<auth::Identity> Guard::identify(const net::grpc::CallInfo& info) {
  const net::Headers& metadata = info.metadata;
  if (metadata.has("token")) return auth_.identify(metadata.get("token"));
  if (metadata.has("authorization")) {
    std::string_view token = metadata.get("authorization");
    if (token.starts_with("Bearer ")) token.remove_prefix(7);
    return auth_.identify(token);
  }
  if (!options_.client_cert_auth || info.certificate == nullptr || metadata.has(kGatewayField))
    return auth::Identity{};
  return auth_.identity_of(info.certificate->common_name);
}

void Guard::submit(const Change& change, Callback<Revision> done) {
  auto newest = pending_.empty() ? auth_.snapshot() : pending_.back();
  auto next = std::make_shared<auth::State>(*newest);
  if (auto changed = change(*next); !changed) return done(fail(changed.error()));
  if (pending_.empty() && *next == *newest) return done(store_.revision());
  std::string note = auth::encode(*next);
  pending_.push_back(next);
  store_.submit_note(
      std::string(auth::kNote), std::move(note),
      [this, alive = alive_, next, done = std::move(done)](Result<Revision> written) mutable {
        if (!*alive) return;
        std::erase(pending_, next);
        if (written) {
          log::info("auth", "changed", {{"revision", next->revision}, {"enabled", next->enabled}});
          auth_.install(next);
        }
        done(std::move(written));
      });
}

}  // namespace rs::store::etcd
