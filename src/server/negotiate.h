// Content negotiation (reference section A3): which form the client wants its answer in, and which it sent. Pure.
#pragma once

#include "api/codec.h"
#include "net/http.h"

namespace rs::server {

struct Accepted {
  api::MediaType media = api::MediaType::kJson;
  enum class As { kObject, kTable, kPartial, kPartialList } as = As::kObject;
  std::string version = "v1";         // of meta.k8s.io: v1 or v1beta1
};
// The first clause of Accept that we serve; kNotAcceptable otherwise. Answers are JSON wherever the client takes it:
// protobuf only for who takes nothing else.
Result<Accepted> negotiate(const net::Headers& headers);
std::string content_type(const Accepted& accepted);

// Of a body; empty is JSON. kUnsupportedMediaType otherwise.
Result<api::MediaType> body_type(const net::Headers& headers);

// One clause "application/json;as=Table;v=v1;g=meta.k8s.io" taken apart.
struct MediaClause {
  std::string type;
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string_view parameter(std::string_view name) const;
};
std::vector<MediaClause> parse_accept(std::string_view header);

}  // namespace rs::server
