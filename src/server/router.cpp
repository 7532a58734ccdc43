// The way of a request: who asks, what for, may they, and which handler answers.
#include <charconv>

#include "base/log.h"
#include "server/impl.h"
#include "server/streaming/streaming.h"
#include "server/subresources.h"
#include "server/watch.h"

namespace rs::server {
namespace {
constexpr size_t kBodyLimit = 3 << 20;

struct UnderWay {
  RequestMetrics& metrics;
  bool mutating;
  ~UnderWay() { metrics.leave(mutating); }
};

// timeout=32s, 1m, 500ms: what clients say they will wait; nothing for anything else.
std::optional<Duration> requested_timeout(std::string_view text) {
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number <= 0 || number > 86'400'000) return std::nullopt;
  std::string_view unit(end, size_t(text.data() + text.size() - end));
  if (unit == "s") return std::chrono::seconds(number);
  if (unit == "m") return std::chrono::minutes(std::min<int64_t>(number, 1440));
  if (unit == "ms") return std::chrono::milliseconds(number);
  return std::nullopt;
}

void add_common_headers(net::Response& response, std::string_view audit_id) {
  response.headers.add("Audit-Id", std::string(audit_id));
  if (!response.headers.has("Cache-Control")) response.headers.add("Cache-Control", "no-cache, private");
}

const api::Kind* kind_of(const api::KindTable& kinds, const RequestInfo& info) {
  return kinds.by_resource(info.group, info.version, info.resource);
}

bool allows(const std::vector<std::string>& verbs, std::string_view verb) {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}
}  // namespace

awaitable<void> ApiServer::Impl::serve(net::Request& request, net::ResponseWriter& writer, const UserInfo* user) {
  std::string audit_id = core.loop.random().uuid();
  MonoTime began = core.loop.now();
  auto info = parse_request_info(request.method, request.target);
  auto answered = info ? co_await answer(*info, request, writer, user)
                       : Result<std::optional<net::Response>>(std::unexpected(info.error()));
  if (answered && !answered->has_value()) co_return;   // the handler has written the answer itself
  net::Response response = answered ? std::move(**answered) : status_response(answered.error());
  if (writer.started()) co_return;
  if (response.status >= 500) {
    std::string why = answered ? std::string() : to_string(answered.error());
    log::debug("server", "request failed", {{"method", request.method}, {"target", request.target}, {"why", why}});
  }
  if (info) metrics.finished(*info, response.status, core.loop.now() - began);
  add_common_headers(response, audit_id);
  (void)co_await writer.send(std::move(response));
}

awaitable<Result<std::optional<net::Response>>> ApiServer::Impl::answer(const RequestInfo& info, net::Request& request,
                                                                        net::ResponseWriter& writer, const UserInfo* user) {
  if (stopped) co_return fail(Code::kServiceUnavailable, "the server is shutting down");
  if (request.body.size() > kBodyLimit)
    co_return fail(Code::kRequestEntityTooLarge, "Request entity too large: limit is {}", kBodyLimit);
  if (info.verb.empty()) co_return fail(method_not_allowed());
  auto who = user != nullptr ? Result<UserInfo>(*user) : authenticator.authenticate(request);
  if (who && request.headers.has("Impersonate-User")) who = impersonate(request, std::move(*who), authorizer);
  if (!who) co_return std::unexpected(who.error());
  AccessRequest access = access_request(info);
  if (!authorizer.allows(*who, access)) co_return fail(denied(*who, access));
  if (info.is_resource) co_return co_await answer_resource(info, request, writer, *who);
  auto response = non_resource.answer(request, info);
  if (!response) co_return std::unexpected(response.error());
  co_return std::optional(std::move(*response));
}

awaitable<Result<std::optional<net::Response>>> ApiServer::Impl::answer_resource(const RequestInfo& info,
                                                                                 net::Request& request,
                                                                                 net::ResponseWriter& writer,
                                                                                 const UserInfo& user) {
  const api::Kind* kind = kind_of(core.kinds, info);
  if (kind == nullptr || (!kind->namespaced && !info.ns.empty() && kind->plural != "namespaces"))
    co_return fail(unknown_resource());
  auto accepted = negotiate(request.headers);
  if (!accepted) co_return std::unexpected(accepted.error());
  if (info.subresource.empty() && info.verb == "watch") {
    auto watched = co_await handle_watch(core, *kind, info, *accepted, writer);
    if (!watched) co_return std::unexpected(watched.error());
    co_return std::nullopt;
  }
  if (StreamHandler handler = stream_handler(*kind, info.subresource)) {
    if (info.verb != "get" && info.verb != "create") co_return fail(method_not_allowed());
    auto streamed = co_await handler({core, *kind, info, request, writer});
    if (!streamed) co_return std::unexpected(streamed.error());
    co_return std::nullopt;
  }
  if (!kind->stored && kind->plural.ends_with("reviews") && info.verb == "create" && info.subresource.empty()) {
    auto reviewed = handle_review({core, registry, *kind, info, request, user, *accepted}, authenticator, authorizer);
    if (!reviewed) co_return std::unexpected(reviewed.error());
    co_return std::optional(std::move(*reviewed));
  }
  auto response = co_await answer_bounded({core, registry, *kind, info, request, user, *accepted});
  if (!response) co_return std::unexpected(response.error());
  co_return std::optional(std::move(*response));
}

awaitable<Result<net::Response>> ApiServer::Impl::answer_bounded(RequestContext context) {
  bool mutating = context.info.verb != "get" && context.info.verb != "list";
  if (!context.user.in_group(kMasters)) {
    if (auto entered = metrics.enter(mutating); !entered) co_return std::unexpected(entered.error());
  } else if (!metrics.enter(mutating)) {
    co_return co_await answer_object(context);   // administrators and controllers are never turned away
  }
  UnderWay under_way{metrics, mutating};
  Duration limit = requested_timeout(context.info.target.param("timeout")).value_or(core.options.request_timeout);
  limit = std::min(limit, core.options.request_timeout);
  auto response = co_await async::with_timeout(core.loop, limit, "request", answer_object(context));
  if (!response && response.error().code == Code::kTimeout && response.error().message.starts_with("request: "))
    co_return fail(Code::kTimeout, "Timeout: request did not complete within requested timeout");
  co_return response;
}

awaitable<Result<net::Response>> ApiServer::Impl::answer_object(RequestContext context) {
  const api::Kind& kind = context.kind;
  const RequestInfo& info = context.info;
  if (!info.subresource.empty()) {
    const api::Subresource* sub = kind.subresource(info.subresource);
    if (sub == nullptr) co_return fail(unknown_resource());
    if (!allows(sub->verbs, info.verb)) co_return fail(method_not_allowed());
  } else if (!allows(kind.verbs, info.verb)) {
    co_return fail(method_not_allowed());
  }
  if (kind.namespaced && info.ns.empty() && info.verb != "list" && info.verb != "deletecollection")
    co_return fail(unknown_resource());
  bool on_item = !info.name.empty();
  bool fits = info.verb == "create" && kind.stored ? on_item == !info.subresource.empty()
              : info.verb == "update" || info.verb == "patch" ? on_item : true;
  if (!fits) co_return fail(method_not_allowed());
  if (info.subresource == "token") co_return co_await handle_token(context, authenticator);
  if (auto handler = subresource_handler(kind, info)) co_return co_await handler(context);
  if (info.verb == "get") co_return co_await handle_get(context.core, kind, info, context.accepted);
  if (info.verb == "list") co_return co_await handle_list(context.core, kind, info, context.accepted);
  if (info.verb == "create") co_return co_await handle_create(context);
  if (info.verb == "update") co_return co_await handle_update(context);
  if (info.verb == "patch") co_return co_await handle_patch(context);
  if (info.verb == "delete") co_return co_await handle_delete(context);
  if (info.verb == "deletecollection") co_return co_await handle_delete_collection(context);
  co_return fail(method_not_allowed());
}

}  // namespace rs::server
