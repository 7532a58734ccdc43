// The way of a request: who asks, what for, may they, and which handler answers.
#include "base/log.h"
#include "server/impl.h"
#include "server/streaming/streaming.h"
#include "server/subresources.h"
#include "server/watch.h"

namespace rs::server {
namespace {

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
  auto answered = co_await answer(request, writer, user);
  if (answered && !answered->has_value()) co_return;   // the handler has written the answer itself
  net::Response response = answered ? std::move(**answered) : status_response(answered.error());
  if (writer.started()) co_return;
  if (response.status >= 500) {
    std::string why = answered ? std::string() : to_string(answered.error());
    log::debug("server", "request failed", {{"method", request.method}, {"target", request.target}, {"why", why}});
  }
  add_common_headers(response, audit_id);
  (void)co_await writer.send(std::move(response));
}

awaitable<Result<std::optional<net::Response>>> ApiServer::Impl::answer(net::Request& request, net::ResponseWriter& writer,
                                                                        const UserInfo* user) {
  auto info = parse_request_info(request.method, request.target);
  if (!info) co_return std::unexpected(info.error());
  if (info->verb.empty()) co_return fail(method_not_allowed());
  auto who = user != nullptr ? Result<UserInfo>(*user) : authenticator.authenticate(request);
  if (who && request.headers.has("Impersonate-User")) who = impersonate(request, std::move(*who), authorizer);
  if (!who) co_return std::unexpected(who.error());
  AccessRequest access = access_request(*info);
  if (!authorizer.allows(*who, access)) co_return fail(denied(*who, access));
  if (info->is_resource) co_return co_await answer_resource(*info, request, writer, *who);
  auto response = non_resource.answer(request, *info);
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
  auto response = co_await answer_object({core, registry, *kind, info, request, user, *accepted});
  if (!response) co_return std::unexpected(response.error());
  co_return std::optional(std::move(*response));
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
