#include "servers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "engine/sqlite_engine.h"
#include "store/etcd/client_messages.h"

namespace rs::store::differential {
namespace {

uint16_t free_port() {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  uint16_t port = 0;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    port = ntohs(address.sin_port);
  ::close(fd);
  return port;
}

constexpr const char* kEtcdPaths[] = {"/usr/bin/etcd", "/usr/local/bin/etcd"};

const char* find_etcd() {
  for (const char* path : kEtcdPaths) {
    if (::access(path, X_OK) == 0) return path;
  }
  return nullptr;
}

// Debian's etcd, on ports and a directory of its own.
class EtcdProcess final : public Server {
 public:
  EtcdProcess(async::Loop& loop, const char* program)
      : loop_(loop), network_(loop), program_(program) {}
  ~EtcdProcess() override { kill(SIGKILL); }
  std::string name() const override { return "etcd"; }
  net::Address address() const override { return {"127.0.0.1", client_port_}; }

  awaitable<Result<void>> start() override {
    if (client_port_ == 0) client_port_ = free_port();
    if (peer_port_ == 0) peer_port_ = free_port();
    spawn();
    net::grpc::Client client(loop_, network_, address(), {});
    for (int i = 0; i < 600; ++i) {
      auto answer =
          co_await client.call("/etcdserverpb.KV/Range", etcd::encode(RangeRequest{.key = "ready"}),
                               {}, std::chrono::seconds(2));
      if (answer) co_return Result<void>{};
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = 0;
        break;
      }
      co_await loop_.sleep(std::chrono::milliseconds(50));
    }
    co_return fail(Code::kUnavailable, "etcd does not start: {}", log_tail());
  }
  awaitable<void> stop() override {
    if (pid_ == 0) co_return;
    ::kill(pid_, SIGTERM);
    for (int i = 0; i < 100; ++i) {
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = 0;
        co_return;
      }
      co_await loop_.sleep(std::chrono::milliseconds(50));
    }
    kill(SIGKILL);
  }
  std::string log_tail() const override {
    std::ifstream in(directory_.path() / "log");
    std::ostringstream all;
    all << in.rdbuf();
    std::string text = all.str();
    constexpr size_t kTail = 4000;
    return text.size() > kTail ? text.substr(text.size() - kTail) : text;
  }

 private:
  void spawn() {
    std::string data = (directory_.path() / "data").string(),
                log = (directory_.path() / "log").string();
    std::string client = fmt::format("http://127.0.0.1:{}", client_port_);
    std::string peer = fmt::format("http://127.0.0.1:{}", peer_port_);
    std::vector<std::string> arguments = {program_,
                                          "--data-dir=" + data,
                                          "--listen-client-urls=" + client,
                                          "--advertise-client-urls=" + client,
                                          "--listen-peer-urls=" + peer,
                                          "--initial-advertise-peer-urls=" + peer,
                                          "--initial-cluster=default=" + peer,
                                          "--logger=zap",
                                          "--log-outputs=stderr"};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    char* no_environment[] = {
        nullptr};  // ETCD_* variables of whoever runs the test must not matter
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(fd, 1);
    ::dup2(fd, 2);
    ::close_range(3, ~0U, 0);
    ::execve(program_, argv.data(), no_environment);
    ::_exit(127);
  }
  void kill(int signal) {
    if (pid_ == 0) return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  async::Loop& loop_;
  net::TcpNetwork network_;
  const char* program_;
  ScratchDirectory directory_;
  uint16_t client_port_ = 0, peer_port_ = 0;
  pid_t pid_ = 0;
};

class OurServer final : public Server {
 public:
  OurServer(async::Loop& loop, OurEngine engine) : loop_(loop), network_(loop), engine_(engine) {}
  std::string name() const override {
    switch (engine_) {
      case OurEngine::kRocks:
        return "roadstead";
      case OurEngine::kMemory:
        return "roadstead in memory";
      case OurEngine::kSqlite:
        return "roadstead over SQLite";
    }
    return "roadstead";
  }
  net::Address address() const override { return address_; }
  bool ours() const override { return true; }

  awaitable<Result<void>> start() override {
    auto store = co_await open_store();
    if (!store) co_return fail(store.error());
    store_ = std::move(*store);
    service_ = std::make_unique<etcd::EtcdService>(loop_, *store_, etcd::EtcdOptions{});
    server_ = std::make_unique<net::grpc::Server>(loop_, service_->server_options());
    service_->add_to(*server_);
    auto listener = network_.listen({"127.0.0.1", 0});
    if (!listener) co_return fail(listener.error());
    address_ = (*listener)->local();
    server_->serve(std::move(*listener));
    co_return Result<void>{};
  }
  awaitable<void> stop() override {
    if (server_) co_await server_->stop(std::chrono::seconds(1));
    server_.reset();
    if (service_) co_await service_->stop();
    service_.reset();
    if (store_) co_await store_->close();
    store_.reset();
  }

 private:
  awaitable<Result<std::unique_ptr<Embedded>>> open_store() {
    const auto data = directory_.path() / "data";
    if (engine_ == OurEngine::kMemory) co_return co_await Embedded::open(loop_, {});
    if (engine_ == OurEngine::kRocks) co_return co_await Embedded::open(loop_, {.directory = data});
    auto engine = engine::open_sqlite_engine(data);
    if (!engine) co_return fail(engine.error());
    auto store = EmbeddedStore::make(loop_, {.directory = data}, std::move(*engine), true);
    if (!store) co_return fail(store.error());
    co_return std::unique_ptr<Embedded>(std::move(*store));
  }

  async::Loop& loop_;
  net::TcpNetwork network_;
  const OurEngine engine_;
  ScratchDirectory directory_;
  std::unique_ptr<Embedded> store_;
  std::unique_ptr<etcd::EtcdService> service_;
  std::unique_ptr<net::grpc::Server> server_;
  net::Address address_;
};

}  // namespace

ScratchDirectory::ScratchDirectory() {
  std::error_code ignored;
  const char* in_memory = "/dev/shm";
  bool usable = std::filesystem::is_directory(in_memory, ignored) && ::access(in_memory, W_OK) == 0;
  std::filesystem::path parent =
      usable ? std::filesystem::path(in_memory) : std::filesystem::temp_directory_path();
  std::string pattern = (parent / "store_differential.XXXXXX").string();
  if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
}
ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::unique_ptr<Server> make_etcd(async::Loop& loop) {
  const char* program = find_etcd();
  if (program == nullptr) return nullptr;
  return std::make_unique<EtcdProcess>(loop, program);
}
std::unique_ptr<Server> make_ours(async::Loop& loop, OurEngine engine) {
  return std::make_unique<OurServer>(loop, engine);
}

}  // namespace rs::store::differential
