// Whether two servers answered alike. Everything that may differ is named in compare.cpp, each with
// its reason. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "net/grpc.h"
#include "operation.h"

namespace rs::store::differential {

struct Answer {
  net::grpc::Status status;
  std::string body;
};
std::string to_text(const Operation& operation, const Answer& answer);

// How often each allowed difference was met, by its name.
using Allowed = std::map<std::string, int>;

// Nothing when the answers are the same but for what is allowed (counted in allowed); else what
// differs.
std::optional<std::string> difference(const Operation& operation, const Answer& etcd,
                                      const Answer& ours, Allowed& allowed);

// Takes the ids of cluster, member and term out of every header.
void mask_ids(Node& message);

}  // namespace rs::store::differential
