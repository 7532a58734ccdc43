// Named tests of what etcd once did with what clients send: passwords that could be read from its
// debug pages and logs, bodies without an end (reference etcd-api.md C.2, A.9). TLS handshakes
// without an end are in net/tls_test.cpp.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/task_group.h"
#include "base/log.h"
#include "net/http.h"
#include "store/etcd/standalone.h"
#include "store/etcd/wire.h"

namespace rs::store::etcd {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

// What this process writes to stderr while it lives, down to the debug level.
class LogCapture {
 public:
  explicit LogCapture(std::filesystem::path file) : file_(std::move(file)), stderr_(::dup(2)) {
    const int fd = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(fd, 2);
    ::close(fd);
    log::set_level(log::Level::kDebug);
  }
  ~LogCapture() { end(); }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  std::string end() {
    if (stderr_ >= 0) {
      log::set_level(log::Level::kInfo);
      ::dup2(stderr_, 2);
      ::close(std::exchange(stderr_, -1));
    }
    std::ifstream in(file_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  const std::filesystem::path file_;
  int stderr_;
};

class RegressionOfInput : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "store_input.XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void run(std::function<awaitable<void>()> body) {
    async::TaskGroup tasks(loop_);
    tasks.spawn_fn("test", [&]() -> awaitable<void> {
      StandaloneOptions options;
      options.data_dir = directory_ / "data";
      options.listen_client_urls = {{false, "127.0.0.1", 0}};
      options.bcrypt_cost = 4;
      Standalone standalone(loop_, options);
      auto started = co_await standalone.start();
      EXPECT_TRUE(started.has_value()) << started.error().message;
      address_ = standalone.client_address();
      if (started) co_await body();
      co_await standalone.stop();
      loop_.stop();
    });
    loop_.run();
  }

  // "CODE message" of the call, or its answer's field 2 (a token's place).
  awaitable<std::string> call(std::string method, std::vector<std::string> fields,
                              std::string token = {}) {
    net::grpc::Client client(loop_, network_, address_, {});
    Writer out;
    for (uint32_t i = 0; i < fields.size(); ++i) out.bytes(i + 1, fields[i]);
    net::grpc::Status status;
    net::Headers metadata;
    if (!token.empty()) metadata = {{"token", token}};
    auto answer =
        co_await client.call("/etcdserverpb.Auth/" + method, out.take(), metadata, 10s, &status);
    if (!answer) co_return fmt::format("{} {}", int(status.code), status.message);
    auto read = decode_fields(*answer);
    co_return read ? std::string(read->text(2)) : read.error().message;
  }
  awaitable<std::string> get(std::string target, std::string body = {}) {
    net::HttpClient client(loop_, network_, address_, {});
    net::Request request{.method = body.empty() ? "GET" : "POST", .target = target, .body = body};
    auto response = co_await client.call(std::move(request), 10s);
    co_return response ? response->body : response.error().message;
  }

  async::SystemLoop loop_;
  net::TcpNetwork network_{loop_};
  net::Address address_;
  std::filesystem::path directory_;
};

// Requests with their passwords could be read from /debug/requests, and from the log.
TEST_F(RegressionOfInput, Cve202128235_PasswordsAndTokensAreNowhereToBeRead) {
  const std::string secrets[] = {"Pa55-of-root",     "Pa55-of-bob",     "Pa55-that-is-wrong",
                                 "Pa55-that-is-new", "Pa55-by-gateway", "Pa55-refused"};
  LogCapture capture(directory_ / "log");
  std::string token, pages;
  run([&]() -> awaitable<void> {
    EXPECT_EQ(co_await call("UserAdd", {"root", secrets[0]}), "");
    EXPECT_EQ(co_await call("UserGrantRole", {"root", "root"}), "");
    EXPECT_EQ(co_await call("UserAdd", {"bob", secrets[1]}), "");
    EXPECT_EQ(co_await call("AuthEnable", {}), "");
    EXPECT_THAT(co_await call("Authenticate", {"bob", secrets[2]}), HasSubstr("failed"));
    token = co_await call("Authenticate", {"root", secrets[0]});
    EXPECT_THAT(token, HasSubstr("."));
    EXPECT_EQ(co_await call("UserChangePassword", {"bob", secrets[3]}, token), "");
    EXPECT_THAT(co_await call("UserAdd", {"eve", secrets[5]}), HasSubstr("user name is empty"));
    const std::string body = fmt::format(R"({{"name":"bob","password":"{}"}})", secrets[4]);
    EXPECT_THAT(co_await get("/v3/auth/authenticate", body), HasSubstr("failed"));
    for (const char* page : {"/debug/requests", "/debug/events", "/debug/vars", "/debug/pprof/",
                             "/metrics", "/health", "/config/local/log"})
      pages += co_await get(page);
  });
  const std::string log = capture.end();
  EXPECT_THAT(log, HasSubstr("auth: changed")) << "nothing was logged at all";
  EXPECT_THAT(pages, HasSubstr("grpc_server_handled_total"));
  for (const std::string& secret : secrets) {
    EXPECT_THAT(log, Not(HasSubstr(secret)));
    EXPECT_THAT(pages, Not(HasSubstr(secret)));
  }
  EXPECT_THAT(log + pages, Not(HasSubstr(token)));
}

// Anybody could make the server read and keep a body of any length, before it asked who it was.
// What comes after the refusal is thrown away for a moment, so that the client gets to read it.
TEST_F(RegressionOfInput, UnboundedBody_IsRefusedBeforeItsEnd) {
  constexpr int kChunks = 16;  // of a MiB: four times what is taken
  struct {
    const char* name;
    std::string head, chunk;
  } const bodies[] = {
      {"with its length", fmt::format("Content-Length: {}\r\n\r\n", 1ull << 40),
       std::string(1 << 20, ' ')},
      {"in chunks", "Transfer-Encoding: chunked\r\n\r\n",
       "100000\r\n" + std::string(1 << 20, ' ') + "\r\n"},
  };
  run([&]() -> awaitable<void> {
    for (const auto& body : bodies) {
      auto stream = co_await network_.connect(address_, 5s);
      EXPECT_TRUE(stream.has_value());
      if (!stream) co_return;
      const std::string head = "POST /v3/kv/range HTTP/1.1\r\nHost: 127.0.0.1\r\n" + body.head;
      bool sent = (co_await (*stream)->write(std::string_view(head))).has_value();
      for (int i = 0; i < kChunks && sent; ++i)
        sent = (co_await (*stream)->write(std::string_view(body.chunk))).has_value();
      char buffer[256];
      auto answer = co_await async::with_timeout(loop_, 10s, "the answer",
                                                 (*stream)->read(boost::asio::buffer(buffer)));
      EXPECT_TRUE(answer.has_value()) << body.name << ": all of it is taken";
      if (answer) EXPECT_THAT(std::string(buffer, *answer), HasSubstr("HTTP/1.1 413 "));
    }
    EXPECT_THAT(co_await get("/health"), HasSubstr("true")) << "others are served";
  });
}

}  // namespace
}  // namespace rs::store::etcd
