// Kinds that are questions: access reviews, SelfSubjectReview, TokenReview, and the token subresource of ServiceAccounts.
#pragma once

#include "server/authenticate.h"
#include "server/authorize.h"
#include "server/writes.h"

namespace rs::server {

// POST of a *Review; kNotFound for a kind that is none.
Result<net::Response> handle_review(const RequestContext& context, Authenticator& authenticator, Authorizer& authorizer);

// POST serviceaccounts/x/token (authentication.k8s.io/v1 TokenRequest).
awaitable<Result<net::Response>> handle_token(RequestContext context, Authenticator& authenticator);

// Who the request is to be made as (Impersonate-User …), after checking that user may; user itself without such headers.
Result<UserInfo> impersonate(const net::Request& request, UserInfo user, Authorizer& authorizer);

Json user_json(const UserInfo& user);

}  // namespace rs::server
