// Watch: the stream of changes of a resource (reference section A13; KEP-956 bookmarks, KEP-3157 WatchList).
#pragma once

#include "server/list.h"

namespace rs::server {

// Answers on writer until the client goes, the timeout passes or the server stops. Errors found before the stream has
// begun are returned; later ones are sent as ERROR events.
awaitable<Result<void>> handle_watch(Core& core, const api::Kind& kind, const RequestInfo& info, Accepted accepted,
                                     net::ResponseWriter& writer);

}  // namespace rs::server
