#include "mesh/proxy/redirect.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <vector>

#include "mesh/discovery/decode.h"

extern char** environ;

namespace rs::mesh {
namespace {

constexpr size_t kMessageBytes = 4096;

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= 31 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

bool is_cidr(std::string_view text) {
  auto slash = text.find('/');
  if (slash == text.npos) return false;
  auto ip = canonical_ip(text.substr(0, slash));
  auto digits = text.substr(slash + 1);
  int bits = -1;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  // At least /8: a slip must not redirect the world.
  return !ip.empty() && ip.find(':') == ip.npos && error == std::errc() && end == digits.data() + digits.size() && bits >= 8 && bits <= 32;
}

// Runs a program with input on its stdin; its stderr as the error's message. Blocks for as long as it runs (some ms).
Result<void> run(std::vector<std::string> command, const std::string& input) {
  int in[2], err[2];
  if (::pipe2(in, O_CLOEXEC) != 0) return fail(Code::kUnavailable, "pipe: {}", strerror(errno));
  if (::pipe2(err, O_CLOEXEC) != 0) {
    ::close(in[0]);
    ::close(in[1]);
    return fail(Code::kUnavailable, "pipe: {}", strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  std::vector<char*> arguments;
  for (auto& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // Where Debian keeps them, also when PATH lacks /usr/sbin.
  std::string path = "/usr/sbin/" + command[0];
  pid_t pid = 0;
  int spawned = ::posix_spawn(&pid, path.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(err[1]);
  std::string message;
  if (spawned == 0) {
    // Scripts are far smaller than a pipe's buffer: this does not wait for the reader.
    [[maybe_unused]] auto written = ::write(in[1], input.data(), input.size());
  }
  ::close(in[1]);
  char buffer[512];
  for (ssize_t n = 0; spawned == 0 && (n = ::read(err[0], buffer, sizeof buffer)) > 0;)
    if (message.size() < kMessageBytes) message.append(buffer, static_cast<size_t>(n));
  ::close(err[0]);
  if (spawned != 0) return fail(Code::kUnavailable, "{}: {}", path, strerror(spawned));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  while (message.ends_with('\n')) message.pop_back();
  return fail(Code::kUnavailable, "{}: {}", command[0], message);
}

std::vector<std::string> route_command(std::string_view verb, const RedirectOptions& options) {
  return {"ip", "route", std::string(verb), options.service_cidr, "dev", "lo", "metric", "1000"};
}

}  // namespace

Result<std::string> redirect_script(const RedirectOptions& options) {
  if (!is_word(options.table)) return fail(Code::kInvalid, "\"{}\" is no table name", options.table);
  if (!is_cidr(options.service_cidr)) return fail(Code::kInvalid, "\"{}\" is no IPv4 range", options.service_cidr);
  if (!options.pod_interface.empty() && !is_word(options.pod_interface))
    return fail(Code::kInvalid, "\"{}\" is no interface name", options.pod_interface);
  bool dns = !options.dns_ip.empty() && options.dns_port != 0;
  if (dns && canonical_ip(options.dns_ip) != options.dns_ip) return fail(Code::kInvalid, "\"{}\" is no IP address", options.dns_ip);
  if (options.proxy_port == 0) return fail(Code::kInvalid, "no proxy port");
  std::string rules;
  if (dns) {
    for (auto protocol : {"udp", "tcp"})
      rules += fmt::format("    ip daddr {} {} dport 53 redirect to :{}\n", options.dns_ip, protocol, options.dns_port);
  }
  rules += fmt::format("    ip daddr {} meta l4proto tcp redirect to :{}\n", options.service_cidr, options.proxy_port);
  std::string script = fmt::format("table inet {0} {{ }}\ndelete table inet {0}\ntable inet {0} {{\n", options.table);
  script += "  chain prerouting {\n    type nat hook prerouting priority dstnat; policy accept;\n";
  script += options.pod_interface.empty() ? "    iifname \"lo\" accept\n" : fmt::format("    iifname != \"{}\" accept\n", options.pod_interface);
  script += rules + "  }\n";
  if (options.host_programs) script += "  chain output {\n    type nat hook output priority -100; policy accept;\n" + rules + "  }\n";
  if (!options.pod_interface.empty()) {
    // The redirected ports are open on every address (a bridge has none before its first pod): only pods and the host
    // itself may use them.
    script += "  chain input {\n    type filter hook input priority filter; policy accept;\n";
    script += fmt::format("    iifname {{ \"lo\", \"{}\" }} accept\n", options.pod_interface);
    std::string ports = std::to_string(options.proxy_port);
    if (dns) ports += fmt::format(", {}", options.dns_port);
    script += fmt::format("    tcp dport {{ {0} }} drop\n    udp dport {{ {0} }} drop\n  }}\n", ports);
  }
  return script + "}\n";
}

Result<void> install_redirect(const RedirectOptions& options) {
  auto script = redirect_script(options);
  if (!script) return fail(script.error());
  if (auto done = run({"nft", "-f", "-"}, *script); !done) return done;
  if (!options.host_programs) return {};
  auto routed = run(route_command("replace", options), {});
  if (!routed) {
    (void)remove_redirect(options);
    return routed;
  }
  return {};
}

Result<void> remove_redirect(const RedirectOptions& options) {
  if (!is_word(options.table) || !is_cidr(options.service_cidr)) return fail(Code::kInvalid, "no such redirect");
  if (options.host_programs) (void)run(route_command("del", options), {});
  return run({"nft", "-f", "-"}, fmt::format("table inet {0} {{ }}\ndelete table inet {0}\n", options.table));
}

}  // namespace rs::mesh
