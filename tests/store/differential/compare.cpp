#include "compare.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace rs::store::differential {
namespace {

using net::grpc::StatusCode;

constexpr std::string_view kNoProtobuf = "grpc: error unmarshalling request: ";

bool is_header(const Node& node) {
  return node.type != nullptr && std::strcmp(node.type->name, "ResponseHeader") == 0;
}

std::vector<Node*> fields_of(Node& message, uint32_t field) {
  std::vector<Node*> out;
  for (Node& child : message.children) {
    if (child.field == field) out.push_back(&child);
  }
  return out;
}

// --- Differences of whole answers
// -------------------------------------------------------------------------------------

struct Allowance {
  const char* name;
  bool (*applies)(const Operation& operation, const Answer& etcd, const Answer& ours);
};

// A.12: etcd 3.4 knows no "invalid sort option": it takes an unknown order for "sort nothing, but
// fetch everything", and goes on to whatever else is right or wrong with the request.
bool unknown_sort_order(const Operation& operation, const Answer&, const Answer& ours) {
  return (operation.oddities & (kUnknownSortOrder | kDamaged)) != 0 &&
         ours.status.code == StatusCode::kInvalidArgument &&
         ours.status.message == "etcdserver: invalid sort option";
}

// What is wrong with bytes that are no protobuf, Go's generated code says in its own words ("proto:
// illegal wireType 7").
bool words_for_damage(const Operation&, const Answer& etcd, const Answer& ours) {
  return etcd.status.code == StatusCode::kInternal && ours.status.code == StatusCode::kInternal &&
         etcd.status.message.starts_with(kNoProtobuf) &&
         ours.status.message.starts_with(kNoProtobuf);
}

constexpr Allowance kAllowances[] = {
    {"A.12: 3.4 has no invalid-sort-option error", unknown_sort_order},
    {"details of what is malformed", words_for_damage},
};

// --- Differences inside answers: both are brought to a common form
// ----------------------------------------------------

// Keys of a lease: etcd lists them in the order of a Go map.
void sort_lease_keys(Node& message) {
  auto first = std::find_if(message.children.begin(), message.children.end(),
                            [](const Node& n) { return n.field == 5; });
  auto last =
      std::find_if(first, message.children.end(), [](const Node& n) { return n.field != 5; });
  std::sort(first, last, [](const Node& a, const Node& b) { return a.text < b.text; });
}

// Remaining seconds are read at two moments: they may differ by one.
bool close_remaining_time(Node& etcd, Node& ours) {
  auto x = fields_of(etcd, 3), y = fields_of(ours, 3);
  if (x.size() != 1 || y.size() != 1 || x[0]->number == y[0]->number) return false;
  int64_t apart = int64_t(x[0]->number) - int64_t(y[0]->number);
  if (apart < -1 || apart > 1) return false;
  y[0]->number = x[0]->number;
  return true;
}

}  // namespace

void mask_ids(Node& message) {
  visit_messages(message, [](Node& node) {
    if (!is_header(node)) return;
    std::erase_if(node.children, [](const Node& field) { return field.field != 3; });
  });
}

std::string to_text(const Operation& operation, const Answer& answer) {
  if (answer.status.code != StatusCode::kOk)
    return fmt::format("status {} {}", int(answer.status.code), quote(answer.status.message));
  return print(*operation.response_type, answer.body);
}

std::optional<std::string> difference(const Operation& operation, const Answer& etcd,
                                      const Answer& ours, Allowed& allowed) {
  auto differ = [&] {
    return fmt::format("{}\n  etcd: {}\n  ours: {}", to_text(operation), to_text(operation, etcd),
                       to_text(operation, ours));
  };
  if (etcd.status.code != StatusCode::kOk && etcd.status.code == ours.status.code &&
      etcd.status.message == ours.status.message)
    return std::nullopt;
  for (const Allowance& allowance : kAllowances) {
    if (!allowance.applies(operation, etcd, ours)) continue;
    ++allowed[allowance.name];
    return std::nullopt;
  }
  if (etcd.status.code != StatusCode::kOk || ours.status.code != StatusCode::kOk) return differ();

  Node x, y;
  if (!parse(*operation.response_type, etcd.body, x) ||
      !parse(*operation.response_type, ours.body, y))
    return differ();
  mask_ids(x);
  mask_ids(y);
  if (x == y) return std::nullopt;
  if (operation.response_type == &types::time_to_live_response) {
    sort_lease_keys(x);
    sort_lease_keys(y);
    if (x == y) {
      ++allowed["a lease's keys in the order of a Go map"];
      return std::nullopt;
    }
    if (close_remaining_time(x, y) && x == y) {
      ++allowed["a lease's remaining time a second apart"];
      return std::nullopt;
    }
  }
  // After a restart every lease has its whole time again: the order of those with the same is open.
  if ((operation.oddities & kAfterRestart) != 0 &&
      operation.response_type == &types::leases_response) {
    for (Node* answer : {&x, &y})
      std::sort(answer->children.begin(), answer->children.end(), [](const Node& a, const Node& b) {
        return std::pair(a.field, a.signed_of(1)) < std::pair(b.field, b.signed_of(1));
      });
    if (x == y) {
      ++allowed["the order of leases after a restart"];
      return std::nullopt;
    }
  }
  return differ();
}

}  // namespace rs::store::differential
