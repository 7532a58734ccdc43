// Get and list: options, resourceVersion rules, chunks, and the forms of answers (reference sections A3, A12, A19).
#pragma once

#include "api/selector.h"
#include "server/core.h"
#include "server/negotiate.h"
#include "server/request_info.h"

namespace rs::server {

struct ListOptions {
  api::LabelSelector labels;
  api::FieldSelector fields;
  int64_t limit = 0;
  std::string continue_token;
  std::string resource_version;          // "" most recent, "0" any, N
  std::string resource_version_match;    // "", NotOlderThan, Exact
  bool bookmarks = false;                // allowWatchBookmarks
  bool send_initial_events = false, has_send_initial_events = false;
  std::optional<int64_t> timeout_seconds;
  std::optional<int64_t> bookmark_seconds;   // ours: bookmarkPeriodSeconds
  int64_t revision() const;              // resource_version as a number
};
// kBadRequest (malformed), kInvalid (combinations that are not allowed).
Result<ListOptions> parse_list_options(const RequestInfo& info, const api::Kind& kind);

bool matches(const ListOptions& options, const CachedObject& object);

// meta.k8s.io/v1 continue token: where the next chunk begins, at which revision.
struct ContinueToken {
  int64_t revision = 0;                  // -1: inconsistent continuation, at the current revision
  std::string start;                     // storage key behind the prefix: the first one not yet sent
};
std::string encode_continue(const ContinueToken& token);
Result<ContinueToken> decode_continue(std::string_view text);

// includeObject=None|Metadata|Object of tables.
enum class IncludeObject { kNone, kMetadata, kObject };
IncludeObject include_object(const RequestInfo& info);

// One row's JSON, or a whole Table with rows of objects; columns only when wanted.
Json table_of(const api::Kind& kind, const Accepted& accepted, IncludeObject include, bool columns,
              const std::vector<ObjectPtr>& objects, WallTime now, std::string_view revision);
Json partial_metadata(const Json& object, const Accepted& accepted);

// An object in the form the client asked for.
Result<net::Response> object_response(const api::Kind& kind, int status, const Accepted& accepted, const RequestInfo& info,
                                      const Bytes& bytes, WallTime now);

awaitable<Result<net::Response>> handle_get(Core& core, const api::Kind& kind, const RequestInfo& info, Accepted accepted);
awaitable<Result<net::Response>> handle_list(Core& core, const api::Kind& kind, const RequestInfo& info, Accepted accepted);
// The objects a list with these options has now; for deletecollection.
std::vector<ObjectPtr> select(const ResourceCache& cache, std::string_view ns, const ListOptions& options);

}  // namespace rs::server
