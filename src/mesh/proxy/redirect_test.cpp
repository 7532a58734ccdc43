// Redirected connections, in a network namespace of the test's own, without an uplink.
#include "mesh/proxy/redirect.h"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "mesh/test_bench.h"

namespace rs::mesh::testing {
namespace {

TEST(RedirectScript, RefusesWhatIsNoNameOrRange) {
  RedirectOptions good{.proxy_port = 4141, .dns_port = 5300};
  auto script = redirect_script(good);
  ASSERT_TRUE(script.has_value());
  EXPECT_THAT(*script, ::testing::HasSubstr("ip daddr 10.43.0.0/16 meta l4proto tcp redirect to :4141"));
  EXPECT_THAT(*script, ::testing::HasSubstr("ip daddr 10.43.0.10 udp dport 53 redirect to :5300"));
  for (auto change : {+[](RedirectOptions& o) { o.table = "x; flush ruleset"; }, +[](RedirectOptions& o) { o.service_cidr = "0.0.0.0/0"; },
                      +[](RedirectOptions& o) { o.service_cidr = "10.43.0.0"; }, +[](RedirectOptions& o) { o.dns_ip = "x"; },
                      +[](RedirectOptions& o) { o.pod_interface = "a b"; }, +[](RedirectOptions& o) { o.proxy_port = 0; }}) {
    auto bad = good;
    change(bad);
    EXPECT_FALSE(redirect_script(bad).has_value());
  }
}

// Runs body in a child process with a network of its own; its failures become one of this test.
void in_own_network(std::function<void()> body) {
  if (::geteuid() != 0 || ::access("/usr/sbin/nft", X_OK) != 0 || ::access("/usr/sbin/ip", X_OK) != 0)
    GTEST_SKIP() << "needs root, nft and ip";
  pid_t pid = ::fork();
  if (pid == 0) {
    if (::unshare(CLONE_NEWNET) != 0) ::_exit(77);
    if (std::system("ip link set lo up") != 0) ::_exit(77);
    body();
    std::fflush(stdout);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "network namespaces cannot be made here";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "see the failures above";
}

class Transparent : public MeshTest {
 public:
  Transparent() { options.transparent = net::Address{"0.0.0.0", 0}; }
  void TestBody() override {}
  awaitable<std::string> ask(std::string host, uint16_t port, std::string bytes, std::string method = "GET") {
    auto stream = co_await network.connect({host, port}, 2s);
    if (!stream) co_return "cannot connect: " + stream.error().message;
    RawClient peer(std::move(*stream));
    if (!bytes.empty()) (void)co_await peer.send(bytes);
    auto answer = co_await peer.receive(method);
    co_return answer ? answer->body : answer.error().message;
  }
};

// A server that speaks first, as mail and database servers do.
awaitable<void> greet(net::Listener& listener) {
  for (;;) {
    auto stream = co_await listener.accept();
    if (!stream) co_return;
    (void)co_await (*stream)->write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ngreeting");
    (void)co_await (*stream)->shutdown_write();
  }
}

TEST(Redirect, ClusterIpsOfTheHostsProgramsAndOfPodsReachTheirServices) {
  in_own_network([] {
    Transparent test;
    auto& loop = test.loop;
    RawServer server(loop, always(ok("hello")));
    auto greeter = test.network.listen({"127.0.0.1", 0});
    ASSERT_TRUE(greeter.has_value());
    // A pod: a thread with a network of its own, behind a bridge.
    std::promise<pid_t> thread_id;
    std::promise<void> wired, finished;
    std::string from_pod;
    std::thread pod([&] {
      bool own = ::unshare(CLONE_NEWNET) == 0;
      thread_id.set_value(own ? static_cast<pid_t>(::syscall(SYS_gettid)) : -1);
      wired.get_future().wait();
      if (own && std::system("ip link set eth0 up && ip addr add 10.42.0.5/24 dev eth0 && ip route add 10.43.0.0/16 via 10.42.0.1") == 0) {
        async::SystemLoop pod_loop;
        net::TcpNetwork pod_network(pod_loop);
        boost::asio::co_spawn(
            pod_loop.context(),
            [](net::TcpNetwork& network, async::SystemLoop& l, std::string& out) -> awaitable<void> {
              auto stream = co_await network.connect({"10.43.0.99", 80}, 2s);
              if (stream) {
                RawClient peer(std::move(*stream));
                (void)co_await peer.send("GET / HTTP/1.1\r\nHost: anything\r\n\r\n");
                auto answer = co_await peer.receive();
                out = answer ? answer->body : answer.error().message;
              } else {
                out = stream.error().message;
              }
              l.stop();
            }(pod_network, pod_loop, from_pod),
            [](std::exception_ptr) {});
        pod_loop.run();
      }
      finished.set_value();
    });
    auto tid = thread_id.get_future().get();
    auto wire = fmt::format(
        "ip link add br0 type bridge && ip addr add 10.42.0.1/24 dev br0 && ip link set br0 up && "
        "ip link add veth0 type veth peer name eth0 netns {} && ip link set veth0 master br0 up", tid);
    bool have_pod = tid > 0 && std::system(wire.c_str()) == 0;
    EXPECT_TRUE(have_pod);
    test.run([&]() -> awaitable<void> {
      async::TaskGroup tasks(loop);
      tasks.spawn("greeter", greet(**greeter));
      test.service("payments", "bank", 80, "10.43.0.99");
      test.endpoints("payments", {{server.port()}});
      test.service("mail", "bank", 25, "10.43.0.98");
      test.endpoints("mail", {{(*greeter)->local().port}});
      test.service("shy", "bank", 7777, "10.43.0.97");
      test.endpoints("shy", {{(*greeter)->local().port}});
      test.service("empty", "bank", 80, "10.43.0.96");
      co_await test.begin();
      RedirectOptions redirect{.proxy_port = test.mesh->transparent_address()->port};
      auto installed = install_redirect(redirect);
      EXPECT_TRUE(installed.has_value()) << (installed ? "" : installed.error().message);
      EXPECT_TRUE(install_redirect(redirect).has_value()) << "again replaces";
      EXPECT_EQ(co_await test.ask("10.43.0.99", 80, "GET / HTTP/1.1\r\nHost: anything\r\n\r\n"), "hello");
      EXPECT_EQ(co_await test.ask("10.43.0.98", 25, ""), "greeting");
      EXPECT_EQ(co_await test.ask("10.43.0.97", 7777, ""), "greeting") << "after the wait for a client that says nothing";
      auto begun = loop.now();
      EXPECT_EQ(co_await test.ask("10.43.0.97", 7777, ""), "greeting");
      EXPECT_LT(loop.now() - begun, 900ms) << "learnt: this port's server speaks first";
      EXPECT_THAT(co_await test.ask("10.43.0.96", 80, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ::testing::HasSubstr("service bank/empty has no endpoints"));
      EXPECT_EQ(co_await test.ask("10.43.0.1", 443, ""), "closed before an answer");
      wired.set_value();
      auto done = finished.get_future();
      while (done.wait_for(0s) != std::future_status::ready) co_await loop.sleep(5ms);
      EXPECT_EQ(from_pod, "hello");
      EXPECT_TRUE(remove_redirect(redirect).has_value());
      auto after = co_await test.network.connect({"10.43.0.99", 80}, 300ms);
      EXPECT_FALSE(after.has_value());
      co_await tasks.stop();
      co_await server.stop();
    });
    pod.join();
  });
}

}  // namespace
}  // namespace rs::mesh::testing
