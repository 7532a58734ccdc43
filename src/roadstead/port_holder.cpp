#include "roadstead/port_holder.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>

namespace rs::roadstead {

namespace fs = std::filesystem;

namespace {

// Inodes of the listening sockets of a port (proc(5): /proc/net/tcp, state 0A).
std::set<std::string> listening_inodes(uint16_t port) {
  std::set<std::string> inodes;
  for (const char* file : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) {
      std::istringstream fields(line);
      std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
      fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode;
      auto colon = local.rfind(':');
      if (state != "0A" || colon == std::string::npos) continue;
      if (local.substr(colon + 1) == fmt::format("{:04X}", port)) inodes.insert("socket:[" + inode + "]");
    }
  }
  return inodes;
}

bool holds(const fs::path& process, const std::set<std::string>& inodes) {
  std::error_code error;
  for (const auto& descriptor : fs::directory_iterator(process / "fd", error)) {
    auto link = fs::read_symlink(descriptor.path(), error);
    if (!error && inodes.contains(link.string())) return true;
  }
  return false;
}

}  // namespace

std::string port_holder(uint16_t port) {
  auto inodes = listening_inodes(port);
  std::error_code error;
  if (!inodes.empty()) {
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
      auto pid = entry.path().filename().string();
      if (pid.find_first_not_of("0123456789") != std::string::npos || !holds(entry.path(), inodes)) continue;
      std::string name;
      std::ifstream(entry.path() / "comm") >> name;
      return fmt::format("{} (process {})", name, pid);
    }
  }
  return "another program";
}

}  // namespace rs::roadstead
