// Metrics of the process and of gRPC methods in the Prometheus text format (0.0.4), written when
// they are asked for: what is counted is plain numbers of their owners. Pure but for
// process_metrics(), which reads /proc.
#pragma once

#include <string>
#include <string_view>

#include "store/etcd/methods.h"

namespace rs::store::etcd {

class MetricsText {
 public:
  explicit MetricsText(std::string& out) : out_(out) {}
  // Head of a family; its samples follow. Each family once.
  void family(std::string_view name, std::string_view type, std::string_view help);
  // labels: as written, without braces.
  void sample(double value, std::string_view labels = {});
  void sample(uint64_t value, std::string_view labels = {});
  // A sample whose name has an end of its own: of a histogram.
  void part(std::string_view suffix, double value, std::string_view labels);
  void counter(std::string_view name, std::string_view help, uint64_t value);
  void gauge(std::string_view name, std::string_view help, double value);

 private:
  std::string& out_;
  std::string name_;
};

// As the value of a label is written.
std::string escape_label(std::string_view value);

// grpc_server_*, under the names and labels of go-grpc-prometheus, and the bytes of all methods in
// etcd's.
void grpc_metrics(MetricsText& out, const Methods& methods);
// process_* of Prometheus' client libraries, and os_fd_* of etcd.
void process_metrics(MetricsText& out);

}  // namespace rs::store::etcd
