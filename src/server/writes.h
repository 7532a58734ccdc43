// The mutating requests: create, update, patch, delete, deletecollection, from HTTP to Registry.
#pragma once

#include "server/list.h"
#include "server/registry.h"

namespace rs::server {

struct RequestContext {
  Core& core;
  Registry& registry;
  const api::Kind& kind;
  const RequestInfo& info;
  const net::Request& request;
  const UserInfo& user;
  Accepted accepted;
};

// The options every mutating request has (fieldManager, fieldValidation, dryRun); kInvalid when one is malformed.
Result<Write> make_write(const RequestContext& context);
// Adds Warning headers and makes the response of a write.
Result<net::Response> written_response(const RequestContext& context, const Write& write, const Written& written);
// The body decoded as the kind; warnings of field validation go to write.
Result<Json> decode_body(const RequestContext& context, const api::Kind& kind, Write& write);
// A body of a helper type (DeleteOptions, Eviction, Binding, Scale …) as JSON, whichever its encoding.
Result<Json> decode_any(const net::Request& request);

awaitable<Result<net::Response>> handle_create(RequestContext context);
awaitable<Result<net::Response>> handle_update(RequestContext context);
awaitable<Result<net::Response>> handle_patch(RequestContext context);
awaitable<Result<net::Response>> handle_delete(RequestContext context);
awaitable<Result<net::Response>> handle_delete_collection(RequestContext context);

Result<DeleteOptions> parse_delete_options(const RequestContext& context);
// DeleteOptions as JSON (a body, or inside an Eviction).
Result<void> read_delete_options(const Json& body, DeleteOptions& options);

// Applies a patch of the request's content type to live; null: to nothing (server-side apply creates).
using PatchFunction = std::function<Result<Json>(const Json* live)>;
Result<PatchFunction> patch_function(const RequestContext& context, const api::Kind& kind, Write& write, bool& applies);

}  // namespace rs::server
