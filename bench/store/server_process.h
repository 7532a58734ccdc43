// A server under measurement: Debian's etcd or ours, started on free ports with the same settings
// on a fresh directory, and measured from outside: CPU by its CPU clock (all threads, ns), memory
// by /proc, fsyncs by its own /metrics. Always stopped, by the id that was started: by stop(), the
// destructor, or the kernel when this program dies.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rs::bench {

enum class Kind { kPeer, kOurs };
inline const char* name_of(Kind kind) {
  return kind == Kind::kPeer ? "etcd" : "ours";
}

struct ServerSettings {
  std::string peer_path = "etcd", ours_path;
  int64_t quota_bytes = 16ll << 30;  // so that no scenario meets the quota
};

struct Memory {
  double rss_mb = 0, peak_mb = 0;  // VmRSS, VmHWM
};

// What the server counts itself.
struct DiskCounts {
  double wal_fsyncs = 0, backend_commits = 0;
};

class ServerProcess {
 public:
  // Starts on the directory (which may hold data) and waits until it answers.
  ServerProcess(Kind kind, const ServerSettings& settings, std::string directory);
  // One that runs already: never stopped. pid 0: no CPU or memory.
  ServerProcess(Kind kind, std::string host, uint16_t port, pid_t pid);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  void stop();  // SIGTERM, then SIGKILL when it does not end in time
  void start();

  Kind kind() const { return kind_; }
  const std::string& host() const { return host_; }
  uint16_t port() const { return port_; }
  pid_t pid() const { return pid_; }
  const std::string& directory() const { return directory_; }
  int64_t cpu_ns() const;
  Memory memory() const;
  DiskCounts disk_counts() const;
  // One GET, waited for; throws BenchError.
  std::string http_get(const std::string& path) const;
  bool attached() const { return attached_; }

 private:
  std::vector<std::string> arguments() const;
  void spawn();
  void wait_until_ready();

  Kind kind_;
  ServerSettings settings_;
  std::string directory_, host_ = "127.0.0.1";
  uint16_t port_ = 0, peer_port_ = 0;
  pid_t pid_ = 0;
  bool attached_ = false;
};

// A directory that is gone with the object.
class FreshDirectory {
 public:
  explicit FreshDirectory(const std::string& parent);
  ~FreshDirectory();
  FreshDirectory(const FreshDirectory&) = delete;
  FreshDirectory& operator=(const FreshDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

double directory_mb(const std::string& path);

}  // namespace rs::bench
