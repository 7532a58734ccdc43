#include "store/store.h"

namespace rs::store {

awaitable<Result<PutResponse>> Store::put(PutRequest request) {
  TxnRequest txn_request;
  txn_request.success.emplace_back(std::move(request));
  auto done = co_await txn(std::move(txn_request));
  if (!done) co_return fail(done.error());
  co_return std::move(std::get<PutResponse>(done->responses.at(0)));
}

awaitable<Result<DeleteRangeResponse>> Store::delete_range(DeleteRangeRequest request) {
  TxnRequest txn_request;
  txn_request.success.emplace_back(std::move(request));
  auto done = co_await txn(std::move(txn_request));
  if (!done) co_return fail(done.error());
  co_return std::move(std::get<DeleteRangeResponse>(done->responses.at(0)));
}

std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty()) {
    if (uint8_t(end.back()) != 0xff) {
      end.back() = char(uint8_t(end.back()) + 1);
      return end;
    }
    end.pop_back();
  }
  return std::string(1, '\0');
}

}  // namespace rs::store
