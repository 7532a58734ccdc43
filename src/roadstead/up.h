// `roadstead up`: everything in one process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>


namespace rs::roadstead {

struct UpOptions {
  std::string data_dir;                 // default ~/.roadstead
  std::string bind = "127.0.0.1";
  uint16_t api_port = 6443, etcd_port = 2379, console_port = 8080, mesh_port = 4140;  // 0: any free one
  std::string node_name, zone;          // default: the host's name, "local"
  std::vector<std::string> apply;
  std::string runtime = "process";      // process | none
  bool etcd_insecure = false;           // etcd port without TLS, loopback only
  bool write_kubeconfig = false;
  unsigned mesh_workers = 1;
  std::string log_level = "info";
};

// Runs until SIGTERM or SIGINT; the exit code.
int up(const UpOptions& options);

}  // namespace rs::roadstead
