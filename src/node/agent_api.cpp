// What the API server asks of this node: logs, exec, attach, port-forward (client::NodeApi). Messages: reference A14.
#include "node/agent.h"
#include "node/logs.h"
#include "node/pod_worker.h"

namespace rs::node {
namespace {

std::vector<std::string> names(const Json& pod, std::string_view list) {
  std::vector<std::string> result;
  for (const Json& c : array(pod, "spec", list)) result.emplace_back(str(c, "name"));
  return result;
}

// The container that is meant: the named one, the only one, or the one of the annotation kubectl knows.
Result<std::string> choose_container(const Json& pod, const std::string& wanted) {
  if (!wanted.empty()) {
    if (container_spec(pod, wanted) == nullptr)
      return fail(Code::kBadRequest, "container {} is not valid for pod {}", wanted, api::name_of(pod));
    return wanted;
  }
  auto all = names(pod, "containers"), init = names(pod, "initContainers");
  if (all.size() == 1) return all[0];
  std::string_view preferred = api::annotation(pod, "kubectl.kubernetes.io/default-container");
  if (!preferred.empty() && container_spec(pod, preferred) != nullptr) return std::string(preferred);
  std::string message = fmt::format("a container name must be specified for pod {}, choose one of: [{}]", api::name_of(pod), fmt::join(all, " "));
  if (!init.empty()) message += fmt::format(" or one of the init containers: [{}]", fmt::join(init, " "));
  return fail(Code::kBadRequest, "{}", message);
}

}  // namespace

PodWorker* Agent::find_worker(std::string_view ns, std::string_view pod) const {
  for (const auto& [uid, worker] : workers_)
    if (api::name_of(worker->pod()) == pod && api::namespace_of(worker->pod()) == ns) return worker.get();
  return nullptr;
}

awaitable<Result<std::unique_ptr<client::LogStream>>> Agent::logs(client::LogOptions options) {
  PodWorker* worker = find_worker(options.ns, options.pod);
  if (worker == nullptr) co_return fail(Code::kNotFound, "pods \"{}\" not found", options.pod);
  auto name = choose_container(worker->pod(), options.container);
  if (!name) co_return fail(name.error());
  auto it = worker->view().containers.find(*name);
  bool ran = it != worker->view().containers.end() && !it->second.id.empty();
  if (!ran && !options.previous) {
    Json status = pod_status(worker->pod(), worker->view(), {}, loop_.wall());
    std::string reason = "ContainerCreating";
    for (std::string_view list : {"initContainerStatuses", "containerStatuses"})
      for (const Json& c : array(status, list))
        if (str(c, "name") == *name && !str(c, "state", "waiting", "reason").empty()) reason = str(c, "state", "waiting", "reason");
    co_return fail(Code::kBadRequest, "container \"{}\" in pod \"{}\" is waiting to start: {}", *name, options.pod, reason);
  }
  int attempt = ran ? it->second.restarts - (options.previous ? 1 : 0) : -1;
  if (attempt < 0)
    co_return fail(Code::kBadRequest, "previous terminated container \"{}\" in pod \"{}\" not found", *name, options.pod);
  LogQuery query;
  query.tail_lines = options.tail_lines;
  query.limit_bytes = options.limit_bytes;
  query.timestamps = options.timestamps;
  query.follow = options.follow && !options.previous;
  query.since = options.since_time;
  if (options.since_seconds) query.since = loop_.wall() - std::chrono::seconds(*options.since_seconds);
  co_return open_log(loop_, runtime_->log_path(worker->uid(), *name, attempt), query);
}

awaitable<Result<std::unique_ptr<client::ExecSession>>> Agent::exec(client::ExecOptions options) {
  PodWorker* worker = find_worker(options.ns, options.pod);
  if (worker == nullptr) co_return fail(Code::kNotFound, "pods \"{}\" not found", options.pod);
  auto name = choose_container(worker->pod(), options.container);
  if (!name) co_return fail(name.error());
  options.container = *name;
  std::string uid = worker->uid();
  if (options.command.empty()) co_return co_await runtime_->attach(uid, std::move(options));
  co_return co_await runtime_->exec(uid, std::move(options));
}

awaitable<Result<std::unique_ptr<net::Stream>>> Agent::port_forward(std::string ns, std::string pod, uint16_t port) {
  PodWorker* worker = find_worker(ns, pod);
  if (worker == nullptr) co_return fail(Code::kNotFound, "pods \"{}\" not found", pod);
  std::string ip = worker->view().ip;
  if (ip.empty()) co_return fail(Code::kFailedPrecondition, "unable to forward port because pod is not running. Current status={}",
                                 str(worker->pod(), "status", "phase"));
  bool own = network_ready_ && !boolean(worker->pod(), "spec", "hostNetwork");
  co_return co_await net_.connect({own ? ip : "127.0.0.1", port}, std::chrono::seconds(5));
}

}  // namespace rs::node
