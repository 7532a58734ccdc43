#include "server/api_server.h"

#include "server/compactor.h"
#include "server/impl.h"
#include "server/in_process.h"

namespace rs::server {
namespace {
awaitable<void> serve_http(ApiServer::Impl* impl, net::Request& request, net::ResponseWriter& writer) {
  co_await impl->serve(request, writer, nullptr);
}
}  // namespace

ApiServer::ApiServer(async::Loop& loop, store::Store& store, const api::KindTable& kinds, ApiServerOptions options)
    : impl_(std::make_unique<Impl>(loop, store, kinds, std::move(options))) {}
ApiServer::~ApiServer() = default;

awaitable<Result<void>> ApiServer::start() {
  if (auto keys = impl_->authenticator.start(); !keys) co_return keys;
  if (!impl_->authenticator.keys().empty()) impl_->non_resource.set_keys(impl_->authenticator.keys().jwks());
  if (auto started = co_await impl_->core.cache.start(impl_->core.kinds); !started) co_return started;
  if (auto ensured = co_await ensure_cluster(impl_->core, impl_->registry); !ensured) co_return ensured;
  if (impl_->core.options.compaction_interval > Duration::zero())
    impl_->tasks.spawn("compaction", compact_regularly(impl_->core, impl_->core.options.compaction_interval));
  impl_->ready = true;
  co_return Result<void>();
}

awaitable<void> ApiServer::stop() {
  impl_->ready = false;
  impl_->stopped = true;
  co_await impl_->core.cache.stop();
  co_await impl_->tasks.stop();
}

net::Handler ApiServer::handler() {
  return [impl = impl_.get()](net::Request& request, net::ResponseWriter& writer) {
    return serve_http(impl, request, writer);
  };
}

net::Response ApiServer::error_response(int status, std::string_view message) {
  Code code = status == 413   ? Code::kRequestEntityTooLarge
              : status == 408 ? Code::kTimeout
              : status == 503 ? Code::kServiceUnavailable
              : status >= 500 ? Code::kInternalError
                              : Code::kBadRequest;
  std::string text = status == 413 ? "Request entity too large: limit is 3145728" : std::string(message);
  net::Response response = status_response(Error{code, std::move(text)});
  response.status = status;
  return response;
}

std::unique_ptr<client::Transport> ApiServer::in_process(UserInfo user) {
  auto serve = [impl = impl_.get()](net::Request& request, net::ResponseWriter& writer, const UserInfo& who) {
    return impl->serve(request, writer, &who);
  };
  if (!user.in_group(kAuthenticated)) user.groups.emplace_back(kAuthenticated);
  return std::make_unique<InProcessTransport>(impl_->core.loop, impl_->tasks, std::move(serve), std::move(user));
}

void ApiServer::set_node_api(std::string node_name, client::NodeApi* node) {
  if (node == nullptr) impl_->core.nodes.erase(node_name);
  else impl_->core.nodes[std::move(node_name)] = node;
}

ApiServer::State ApiServer::state() const {
  State state{impl_->core.cache.revision(), impl_->core.cache.age(), {}};
  for (const auto& cache : impl_->core.cache.all())
    state.resources.push_back({qualified(cache->kind()), cache->objects().size(), cache->followers()});
  return state;
}

}  // namespace rs::server
