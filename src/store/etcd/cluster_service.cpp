// Cluster of EtcdService (reference etcd-api.md A.8): a cluster of one member, that stays one. What
// would change that is refused in etcd's words for a change that cannot be made now.
#include "base/log.h"
#include "store/etcd/peer_url.h"
#include "store/etcd/service.h"

namespace rs::store::etcd {

using net::grpc::StatusCode;

namespace {

constexpr std::string_view kPeerUrlsNote = "peer_urls";
constexpr size_t kPeerUrlsBytes = 64 << 10;

net::grpc::Status bad_urls() {
  return {StatusCode::kInvalidArgument, "etcdserver: given member URLs are invalid"};
}
net::grpc::Status unknown_member() {
  return {StatusCode::kNotFound, "etcdserver: member not found"};
}
net::grpc::Status stays_alone() {
  return {StatusCode::kFailedPrecondition,
          "etcdserver: re-configuration failed due to not enough started members"};
}

}  // namespace

void EtcdService::add_cluster() {
  method("/etcdserverpb.Cluster/MemberList", &EtcdService::member_list, Needs::kUser);
  method("/etcdserverpb.Cluster/MemberAdd", &EtcdService::member_add);
  method("/etcdserverpb.Cluster/MemberRemove", &EtcdService::member_remove);
  method("/etcdserverpb.Cluster/MemberUpdate", &EtcdService::member_update);
  method("/etcdserverpb.Cluster/MemberPromote", &EtcdService::member_promote);
  // What was once told counts from then on, not the flag: as in etcd, whose members keep their
  // attributes.
  auto note = store_.load_note(kPeerUrlsNote);
  if (!note || !note->has_value()) {
    if (!note)
      log::error("store", "the member's peer URLs cannot be read",
                 {{"why", to_string(note.error())}});
    peer_urls_ = options_.peer_urls;
  } else if (auto fields = decode_fields(**note)) {
    for (std::string_view url : fields->all(1)) peer_urls_.emplace_back(url);
  }
}

void EtcdService::write_member(Writer& out, uint32_t field) const {
  out.message(field, [&](Writer& w) {
    w.number(1, ids_.member);
    w.bytes(2, options_.name);
    for (const std::string& url : peer_urls_) w.element(3, url);
    for (const std::string& url : options_.client_urls) w.element(4, url);
  });
}

void EtcdService::member_list(std::string_view, Responder responder) {
  Writer out;
  write_header(out, ids_, 0);
  write_member(out, 2);
  responder->reply(out.take());
}

void EtcdService::member_add(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  const auto urls = fields->all(1);
  if (urls.empty() || !std::ranges::all_of(urls, is_peer_url)) return responder->fail(bad_urls());
  for (std::string_view url : urls) {
    if (std::ranges::find(peer_urls_, url) != peer_urls_.end())
      return responder->fail(
          {StatusCode::kFailedPrecondition, "etcdserver: Peer URLs already exists"});
  }
  responder->fail(stays_alone());
}

void EtcdService::member_remove(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  responder->fail(uint64_t(fields->number(1)) == ids_.member ? stays_alone() : unknown_member());
}

// Nobody looks for us there, but who asks where we said to be is told: etcd takes any text.
void EtcdService::member_update(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  if (uint64_t(fields->number(1)) != ids_.member) return responder->fail(unknown_member());
  if (message.size() > kPeerUrlsBytes) return responder->fail(bad_urls());
  std::vector<std::string> urls;
  Writer note;
  for (std::string_view url : fields->all(2)) {
    note.element(1, url);
    urls.emplace_back(url);
  }
  store_.submit_note(std::string(kPeerUrlsNote), note.take(),
                     [this, urls = std::move(urls),
                      responder = std::move(responder)](Result<Revision> written) mutable {
                       if (!written) return responder->fail(to_status(written.error()));
                       peer_urls_ = std::move(urls);
                       Writer out;
                       write_header(out, ids_, 0);
                       write_member(out, 2);
                       responder->reply(out.take());
                     });
}

void EtcdService::member_promote(std::string_view message, Responder responder) {
  auto fields = decode_fields(message);
  if (!fields) return responder->fail(to_status(fields.error()));
  if (uint64_t(fields->number(1)) != ids_.member) return responder->fail(unknown_member());
  responder->fail(
      {StatusCode::kFailedPrecondition, "etcdserver: can only promote a learner member"});
}

}  // namespace rs::store::etcd
