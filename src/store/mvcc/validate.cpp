#include "store/mvcc/validate.h"

#include <set>

#include "store/mvcc/errors.h"
#include "store/mvcc/key_range.h"

namespace rs::store::mvcc {

Result<void> check(const RangeRequest& request) {
  if (request.key.empty()) return fail(errors::empty_key());
  if (request.order > RangeRequest::Order::kDescend || request.target > RangeRequest::Target::kValue)
    return fail(errors::invalid_sort_option());
  return {};
}
Result<void> check(const PutRequest& request) {
  if (request.key.empty()) return fail(errors::empty_key());
  if (request.ignore_value && !request.value.empty()) return fail(errors::value_provided());
  if (request.ignore_lease && request.lease != 0) return fail(errors::lease_provided());
  return {};
}
Result<void> check(const DeleteRangeRequest& request) {
  if (request.key.empty()) return fail(errors::empty_key());
  return {};
}

namespace {

Result<void> check_structure(const TxnRequest& request, size_t max_ops, size_t& left);

Result<void> check_op(const Op& op, size_t max_ops, size_t& left) {
  if (left-- == 0) return fail(errors::too_many_ops());
  if (auto* txn = std::get_if<std::shared_ptr<const TxnRequest>>(&op)) {
    if (*txn == nullptr) return fail(errors::key_not_found());  // an operation without a request
    return check_structure(**txn, max_ops, left);
  }
  if (auto* range = std::get_if<RangeRequest>(&op)) return check(*range);
  if (auto* put = std::get_if<PutRequest>(&op)) return check(*put);
  return check(std::get<DeleteRangeRequest>(op));
}

Result<void> check_structure(const TxnRequest& request, size_t max_ops, size_t& left) {
  size_t ops = std::max({request.compares.size(), request.success.size(), request.failure.size()});
  if (ops > max_ops) return fail(errors::too_many_ops());
  for (const Compare& compare : request.compares) {
    if (compare.key.empty()) return fail(errors::empty_key());
  }
  for (const auto* list : {&request.success, &request.failure}) {
    for (const Op& op : *list) {
      if (auto checked = check_op(op, max_ops - ops, left); !checked) return checked;
    }
  }
  return {};
}

// Views into the request.
struct Touched {
  std::set<std::string_view> puts, keeping;  // keeping: of those, what puts need the key's value or lease of before
  std::vector<KeyRange> deletes;

  // etcd takes the end "\0" for the letter that it is here: a delete of everything from a key on collides with no put.
  bool deleted(std::string_view key) const {
    for (const KeyRange& range : deletes) {
      if (!range.unbounded() && range.contains(key)) return true;
    }
    return false;
  }
};

// etcd's checkIntervals: deletes of a list are known before the puts below it are looked at.
Result<Touched> check_paths(const std::vector<Op>& ops) {
  Touched all;
  for (const Op& op : ops) {
    if (auto* del = std::get_if<DeleteRangeRequest>(&op)) all.deletes.push_back({del->key, del->range_end});
  }
  for (const Op& op : ops) {
    auto* txn = std::get_if<std::shared_ptr<const TxnRequest>>(&op);
    if (txn == nullptr) continue;
    auto success = check_paths((*txn)->success);
    if (!success) return fail(success.error());
    auto failure = check_paths((*txn)->failure);
    if (!failure) return fail(failure.error());
    // Only one of the branches is taken: they may put the same key, or one may delete what the other puts.
    for (Touched* branch : {&*success, &*failure}) {
      for (std::string_view key : branch->puts) {
        if (all.puts.contains(key) || all.deleted(key)) return fail(errors::duplicate_key());
      }
    }
    for (Touched* branch : {&*success, &*failure}) {
      all.puts.merge(branch->puts);
      all.keeping.merge(branch->keeping);
      all.deletes.insert(all.deletes.end(), branch->deletes.begin(), branch->deletes.end());
    }
  }
  for (const Op& op : ops) {
    auto* put = std::get_if<PutRequest>(&op);
    if (put == nullptr) continue;
    if (all.deleted(put->key) || !all.puts.insert(put->key).second) return fail(errors::duplicate_key());
    if (put->ignore_value || put->ignore_lease) all.keeping.insert(put->key);
  }
  for (const KeyRange& range : all.deletes) {
    // etcd accepts this, and ends when there is nothing left to keep.
    if (range.unbounded() && !all.keeping.empty() && *all.keeping.rbegin() >= range.key)
      return fail(errors::duplicate_key());
  }
  return all;
}

template <class Want>
bool any_op(const TxnRequest& request, const Want& want) {
  for (const auto* list : {&request.success, &request.failure}) {
    for (const Op& op : *list) {
      if (want(op)) return true;
    }
  }
  return false;
}

int64_t cost_of(const std::vector<Op>& ops) {
  int64_t total = 0;
  for (const Op& op : ops) {
    if (auto* put = std::get_if<PutRequest>(&op)) total += 256 + int64_t(put->key.size() + put->value.size());
    if (auto* txn = std::get_if<std::shared_ptr<const TxnRequest>>(&op)) total += cost(**txn);
  }
  return total;
}

}  // namespace

Result<void> check(const TxnRequest& request, size_t max_ops) {
  size_t left = std::max(kMaxTotalOps, 2 * std::min(max_ops, kAnyOps));
  if (auto checked = check_structure(request, max_ops, left); !checked) return checked;
  if (request.success.size() + request.failure.size() <= 1) {
    // One plain operation collides with nothing: the shape of most transactions.
    if (!any_op(request, [](const Op& op) { return op.index() == 3; })) return {};
  }
  for (const auto* list : {&request.success, &request.failure}) {
    if (auto touched = check_paths(*list); !touched) return fail(touched.error());
  }
  return {};
}

bool may_write(const TxnRequest& request) {
  return any_op(request, [](const Op& op) { return !std::holds_alternative<RangeRequest>(op); });
}

bool may_put(const TxnRequest& request) {
  return any_op(request, [](const Op& op) {
    if (auto* txn = std::get_if<std::shared_ptr<const TxnRequest>>(&op)) return may_put(**txn);
    return std::holds_alternative<PutRequest>(op);
  });
}

int64_t cost(const TxnRequest& request) { return std::max(cost_of(request.success), cost_of(request.failure)); }

}  // namespace rs::store::mvcc
