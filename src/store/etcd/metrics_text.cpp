#include "store/etcd/metrics_text.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <sys/resource.h>
#include <unistd.h>

namespace rs::store::etcd {

std::string escape_label(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? "\\n" : std::string(1, c);
  }
  return out;
}

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void MetricsText::sample(double value, std::string_view labels) {
  fmt::format_to(std::back_inserter(out_), "{}{}{}{} {}\n", name_, labels.empty() ? "" : "{",
                 labels, labels.empty() ? "" : "}", value);
}

void MetricsText::sample(uint64_t value, std::string_view labels) {
  fmt::format_to(std::back_inserter(out_), "{}{}{}{} {}\n", name_, labels.empty() ? "" : "{",
                 labels, labels.empty() ? "" : "}", value);
}

void MetricsText::part(std::string_view suffix, double value, std::string_view labels) {
  fmt::format_to(std::back_inserter(out_), "{}{}{{{}}} {}\n", name_, suffix, labels, value);
}

void MetricsText::counter(std::string_view name, std::string_view help, uint64_t value) {
  family(name, "counter", help);
  sample(value);
}

void MetricsText::gauge(std::string_view name, std::string_view help, double value) {
  family(name, "gauge", help);
  sample(value);
}

namespace {

// google.golang.org/grpc/codes, by number.
constexpr std::string_view kCodeNames[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

struct LabelledCounts {
  std::string labels;
  const net::grpc::CallCounts* counts;
};

std::string labels_of(std::string_view path, std::string_view type) {
  const size_t slash = path.rfind('/');
  return fmt::format(R"(grpc_method="{}",grpc_service="{}",grpc_type="{}")", path.substr(slash + 1),
                     path.substr(1, slash - 1), type);
}

// What the client streams, too.
bool is_bidirectional(std::string_view path) {
  return path == "/etcdserverpb.Watch/Watch" || path == "/etcdserverpb.Lease/LeaseKeepAlive";
}

std::string word_at(std::string_view text, size_t index) {
  while (index-- > 0) {
    const size_t space = text.find(' ');
    if (space == std::string_view::npos) return {};
    text.remove_prefix(space + 1);
  }
  return std::string(text.substr(0, text.find_first_of(" \n")));
}

double number_of(const std::string& text) {
  return text.empty() ? 0 : std::strtod(text.c_str(), nullptr);
}

std::string contents(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

double limit_of(int resource) {
  rlimit limit{};
  if (getrlimit(__rlimit_resource(resource), &limit) != 0) return 0;
  // What Go's client library says of "none".
  return limit.rlim_cur == RLIM_INFINITY ? 18446744073709551615.0 : double(limit.rlim_cur);
}

double open_files() {
  std::error_code error;
  std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (error) return 0;
  // One of them is the one that lists.
  return double(std::distance(begin(files), end(files))) - 1;
}

// In etcd with --metrics=extensive only (go-grpc-prometheus, EnableHandlingTimeHistogram).
void call_durations(MetricsText& out, const std::vector<LabelledCounts>& all) {
  out.family("grpc_server_handling_seconds", "histogram",
             "Histogram of response latency (seconds) of gRPC that had been application-level "
             "handled by the server.");
  for (const auto& [labels, counts] : all) {
    if (counts->durations == nullptr) continue;
    const net::grpc::CallDurations& durations = *counts->durations;
    uint64_t sum = 0;
    for (size_t i = 0; i < durations.counts.size(); ++i) {
      sum += durations.counts[i];
      const std::string bound =
          i < durations.kSeconds.size() ? fmt::format("{}", durations.kSeconds[i]) : "+Inf";
      out.part("_bucket", sum, fmt::format(R"({},le="{}")", labels, bound));
    }
    out.part("_sum", durations.total_seconds, labels);
    out.part("_count", sum, labels);
  }
}

}  // namespace

void grpc_metrics(MetricsText& out, const Methods& methods) {
  std::vector<LabelledCounts> all;
  for (const auto& [path, method] : methods.all_unary())
    all.push_back({labels_of(path, "unary"), &method.counts});
  for (const auto& [path, method] : methods.all_streaming())
    all.push_back({labels_of(path, is_bidirectional(path) ? "bidi_stream" : "server_stream"),
                   &method.counts});

  out.family("grpc_server_handled_total", "counter",
             "Total number of RPCs completed on the server, regardless of success or failure.");
  for (const auto& [labels, counts] : all) {
    for (size_t code = 0; code < counts->handled.size(); ++code)
      out.sample(counts->handled[code],
                 fmt::format(R"(grpc_code="{}",{})", kCodeNames[code], labels));
  }
  struct Family {
    std::string_view name, help;
    uint64_t net::grpc::CallCounts::* count;
  };
  constexpr Family kFamilies[] = {
      {"grpc_server_msg_received_total",
       "Total number of RPC stream messages received on the server.",
       &net::grpc::CallCounts::messages_received},
      {"grpc_server_msg_sent_total", "Total number of gRPC stream messages sent by the server.",
       &net::grpc::CallCounts::messages_sent},
      {"grpc_server_started_total", "Total number of RPCs started on the server.",
       &net::grpc::CallCounts::started}};
  for (const Family& family : kFamilies) {
    out.family(family.name, "counter", family.help);
    for (const auto& [labels, counts] : all) out.sample(counts->*family.count, labels);
  }
  const bool measured = std::ranges::any_of(
      all, [](const LabelledCounts& each) { return each.counts->durations != nullptr; });
  if (measured) call_durations(out, all);
  uint64_t received = 0, sent = 0;
  for (const auto& [labels, counts] : all) {
    received += counts->bytes_received;
    sent += counts->bytes_sent;
  }
  out.counter("etcd_network_client_grpc_received_bytes_total",
              "The total number of bytes received from grpc clients.", received);
  out.counter("etcd_network_client_grpc_sent_bytes_total",
              "The total number of bytes sent to grpc clients.", sent);
}

// proc(5): fields 14 and 15 of stat are CPU time, 22 the start, 23 and 24 memory; the second may
// hold anything.
void process_metrics(MetricsText& out) {
  const std::string stat = contents("/proc/self/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 2 > stat.size()) return;
  const std::string_view rest = std::string_view(stat).substr(name_end + 2);
  auto field = [&](size_t number) { return number_of(word_at(rest, number - 3)); };
  const auto ticks = double(sysconf(_SC_CLK_TCK)), page = double(sysconf(_SC_PAGESIZE));
  const std::string system = contents("/proc/stat");
  const size_t boot = system.find("btime ");
  const double boot_seconds =
      boot == std::string::npos ? 0 : number_of(system.substr(boot + 6, 20));
  const double files = open_files(), file_limit = limit_of(RLIMIT_NOFILE);

  out.family("process_cpu_seconds_total", "counter",
             "Total user and system CPU time spent in seconds.");
  out.sample((field(14) + field(15)) / ticks);
  out.gauge("process_max_fds", "Maximum number of open file descriptors.", file_limit);
  out.gauge("process_open_fds", "Number of open file descriptors.", files);
  out.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", field(24) * page);
  out.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
            boot_seconds + field(22) / ticks);
  out.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", field(23));
  out.gauge("process_virtual_memory_max_bytes",
            "Maximum amount of virtual memory available in bytes.", limit_of(RLIMIT_AS));
  out.gauge("os_fd_limit", "The file descriptor limit.", file_limit);
  out.gauge("os_fd_used", "The number of used file descriptors.", files);
}

}  // namespace rs::store::etcd
