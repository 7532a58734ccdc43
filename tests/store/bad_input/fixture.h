// One server for all tests of a suite: each leaves it as it found it.
#pragma once

#include <poll.h>

#include <gtest/gtest.h>

#include "server_process.h"

namespace rs::store::bad_input {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RS_SANITIZED 1
#endif
#endif

class BadInput : public ::testing::Test {
 protected:
  // What a server may hold more than before, once a client that behaved badly has gone. The
  // allocator keeps some.
  static constexpr size_t kLeftOverBytes = 48 << 20;

  static void SetUpTestSuite() { server_ = ServerProcess::ours(); }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    rss_before_ = server_->rss_bytes();
    descriptors_before_ = server_->descriptors();
  }
  void TearDown() override {
    ASSERT_TRUE(server_->alive()) << "the server died";
    EXPECT_TRUE(serves(*server_)) << "a client that has just come is not served";
    EXPECT_TRUE(within([&] {
      return server_->descriptors() <= descriptors_before_ + kEngineDescriptors;
    })) << server_->descriptors()
        << " descriptors after " << descriptors_before_;
    expect_memory(left_over_bytes_);
  }
  void expect_memory(size_t more_bytes) {
#ifndef RS_SANITIZED
    EXPECT_TRUE(within([&] { return server_->rss_bytes() <= rss_before_ + more_bytes; }))
        << (server_->rss_bytes() >> 20) << " MiB after " << (rss_before_ >> 20);
#else
    (void)more_bytes;
#endif
  }
  template <class Condition>
  static bool within(const Condition& condition, std::chrono::milliseconds limit = kPatience) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      ::poll(nullptr, 0, 10);
    }
    return true;
  }
  void crowd();  // many connections with many streams each
  RawClient connect() const { return RawClient(server_->port()); }

  static constexpr size_t kEngineDescriptors = 40;  // files that the engine opens as it works
  inline static std::unique_ptr<ServerProcess> server_;
  size_t left_over_bytes_ = kLeftOverBytes;
  size_t rss_before_ = 0, descriptors_before_ = 0;
};

}  // namespace rs::store::bad_input
