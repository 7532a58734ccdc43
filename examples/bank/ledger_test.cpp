#include "ledger.h"

#include <gtest/gtest.h>

namespace bank {
namespace {

std::unique_ptr<Ledger> fresh() {
  auto ledger = Ledger::open(":memory:");
  EXPECT_TRUE(ledger.has_value());
  for (const char* id : {"a", "b"}) EXPECT_TRUE((*ledger)->open_account(id, "owner", "current").has_value());
  EXPECT_TRUE((*ledger)->transfer("seed", "cash", "a", 1000).has_value());
  return std::move(*ledger);
}

TEST(Ledger, AKeyMovesMoneyOnce) {
  auto ledger = fresh();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ledger->transfer("k1", "a", "b", 300).has_value());
  EXPECT_EQ(ledger->account("a")->balance, 700);
  EXPECT_EQ(ledger->account("b")->balance, 300);
  EXPECT_EQ(ledger->keys_with_prefix("k")->size(), 1u);
}

TEST(Ledger, RefusesWhatIsNotThereAndRemembersTheRefusal) {
  auto ledger = fresh();
  EXPECT_EQ(ledger->transfer("poor", "b", "a", 1).error().code, rs::Code::kFailedPrecondition);
  EXPECT_TRUE(ledger->transfer("rich", "a", "b", 500).has_value());
  EXPECT_EQ(ledger->transfer("poor", "b", "a", 1).error().code, rs::Code::kFailedPrecondition);
  EXPECT_EQ(ledger->transfer("x", "a", "nobody", 1).error().code, rs::Code::kInvalid);
  EXPECT_EQ(ledger->transfer("x", "a", "b", -5).error().code, rs::Code::kInvalid);
}

TEST(Ledger, BooksBalance) {
  auto ledger = fresh();
  EXPECT_TRUE(ledger->transfer("k1", "a", "b", 300).has_value());
  auto books = ledger->books();
  ASSERT_TRUE(books.has_value());
  EXPECT_TRUE(books->balanced);
  EXPECT_EQ(books->paid_in, 1000);
  EXPECT_EQ(books->customer_balances, 1000);
  EXPECT_EQ(books->transfers, 2);
  EXPECT_EQ(ledger->statement("b", 10)->at(0).amount, 300);
}

}  // namespace
}  // namespace bank
