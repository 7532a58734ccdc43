#include "mesh/mesh.h"

#include <filesystem>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/log.h"
#include "mesh/discovery/lkg.h"
#include "mesh/mesh_state.h"
#include "mesh/proxy/worker.h"

namespace rs::mesh {

using async::awaitable;
using namespace std::chrono_literals;

struct Mesh::Disk {
  boost::asio::thread_pool pool{1};   // file writes wait for the disk; the control loop does not
};

Mesh::Mesh(async::Loop& loop, client::Informers& informers, MeshOptions options, metrics::Registry& registry)
    : loop_(loop),
      informers_(informers),
      services_(informers.of(client::resources::kServices)),
      slices_(informers.of(client::resources::kEndpointSlices)),
      pods_(informers.of(client::resources::kPods)),
      options_(std::move(options)),
      registry_(registry),
      apply_latency_(registry.histogram("mesh_discovery_apply_latency_seconds", "From a change of endpoints until every worker uses it.",
                                        metrics::latency_bounds(1))),
      applied_(loop),
      tasks_(loop),
      alive_(std::make_shared<bool>(true)) {
  watch(services_, &Discovery::apply_service);
  watch(slices_, &Discovery::apply_slice);
  watch(pods_, &Discovery::apply_pod);
}

Mesh::~Mesh() { *alive_ = false; }

void Mesh::watch(client::Informer& informer, void (Discovery::*apply)(const api::ObjectKey&, const Json*)) {
  informer.on_change([this, alive = alive_, apply](const api::ObjectKey& key, const client::ObjectPtr&, const client::ObjectPtr& now) {
    // Before all is known nothing is taken over: half a list is no view.
    if (!*alive || !adopted_) return;
    size_t quarantined = discovery_.quarantined().size();
    (discovery_.*apply)(key, now.get());
    if (discovery_.quarantined().size() > quarantined)
      log::warning("mesh", "an object cannot be understood; what was known of it stays in use",
                   {{"object", to_string(key)}, {"content", now ? to_text(*now).substr(0, 500) : std::string()}});
    note_trigger(now.get());
    changed();
  });
}

Result<void> Mesh::start() {
  started_at_ = loop_.now();
  if (auto started = start_workers(); !started) {
    threads_.clear();
    return started;
  }
  started_ = true;
  if (!options_.data_dir.empty()) {
    disk_ = std::make_unique<Disk>();
    load_last_known_good();
  }
  adopt_if_synced();
  flush();
  tasks_.spawn("mesh view", every_second());
  return {};
}

Result<void> Mesh::start_workers() {
  size_t count = std::max<size_t>(1, options_.worker_threads);
  bool shared = options_.worker_threads > 1;
  std::vector<net::Address> wanted{options_.listen};
  if (options_.transparent) wanted.push_back(*options_.transparent);
  for (size_t i = 0; i < count; ++i) {
    auto thread = std::make_unique<Thread>(loop_, options_, registry_, i);
    for (size_t p = 0; p < wanted.size(); ++p) {
      if (shared && i == 0) {
        // A shared port could be taken over from another process unnoticed: look first.
        if (auto probe = thread->network.listen(wanted[p]); !probe) return fail(probe.error());
      }
      auto listener = shared ? thread->network.listen_shared(wanted[p]) : thread->network.listen(wanted[p]);
      if (!listener) return fail(listener.error());
      wanted[p] = (*listener)->local();
      thread->worker.serve(std::move(*listener), p == 0 ? Worker::Port::kProxy : Worker::Port::kTransparent);
    }
    threads_.push_back(std::move(thread));
  }
  address_ = wanted[0];
  if (options_.transparent) transparent_address_ = wanted[1];
  for (auto& thread : threads_) thread->begin();
  return {};
}

awaitable<void> Mesh::stop(Duration grace) {
  co_await tasks_.stop();
  for (auto& thread : threads_) {
    if (thread->own_loop == nullptr) {
      co_await thread->worker.stop(grace);
      continue;
    }
    auto& loop = *thread->own_loop;
    loop.post([thread = thread.get(), &loop, grace] { thread->stopping.spawn("stop", stop_worker(thread->worker, loop, grace)); });
    thread->thread.join();
  }
  threads_.clear();
  if (disk_) {
    if (unsaved_ && adopted_) {
      saving_ = false;
      save_last_known_good();
    }
    disk_->pool.join();
    disk_.reset();
  }
  *alive_ = false;
}

void Mesh::load_last_known_good() {
  std::error_code error;
  std::filesystem::create_directories(options_.data_dir, error);
  auto path = options_.data_dir + "/view";
  auto view = read_lkg(path);
  if (!view) {
    if (view.error().code != Code::kNotFound)
      log::warning("mesh", "the last known good view cannot be read", {{"reason", view.error().message}});
    return;
  }
  auto age = loop_.wall() - view->saved_at;
  log::info("mesh", "serving the last known good view until the API answers",
            {{"services", view->services.size()}, {"revision", view->revision}, {"age_s", age / 1s}});
  registry_.gauge("mesh_lkg_age_seconds", "Age of the view read from disk at start.").set(static_cast<double>(age / 1s));
  from_disk_ = true;
  discovery_.restore(std::move(view->services));
}

void Mesh::save_last_known_good() {
  if (!disk_ || !adopted_ || saving_) return;
  unsaved_ = false;
  saving_ = true;
  saved_at_ = loop_.now();
  std::vector<ServiceViewPtr> views;
  views.reserve(discovery_.views().size());
  for (const auto& [key, view] : discovery_.views()) views.push_back(view);
  boost::asio::post(disk_->pool, [views = std::move(views), revision = discovery_.revision(), now = loop_.wall(),
                                  path = options_.data_dir + "/view", alive = alive_, this] {
    LastKnownGood good{.revision = revision, .saved_at = now};
    for (const auto& view : views) good.services.push_back(*view);
    auto written = write_lkg(path, encode_lkg(good));
    if (!written) log::warning("mesh", "the last known good view cannot be written", {{"reason", written.error().message}});
    loop_.post([alive, this] {
      if (*alive) saving_ = false;
    });
  });
}

void Mesh::adopt_if_synced() {
  if (adopted_ || !services_.freshness().synced || !slices_.freshness().synced) return;
  for (const auto& [key, object] : services_.objects()) discovery_.apply_service(key, object.get());
  for (const auto& [key, object] : slices_.objects()) discovery_.apply_slice(key, object.get());
  for (const auto& [key, object] : pods_.objects()) discovery_.apply_pod(key, object.get());
  adopted_ = true;
  discovery_.synced(std::min(services_.freshness().revision, slices_.freshness().revision));
  for (const auto& [id, entry] : discovery_.quarantined())
    log::warning("mesh", "an object cannot be understood", {{"resource", entry.resource}, {"object", to_string(entry.key)}, {"reason", entry.reason}});
  changed();
}

// Many changes of one turn of the loop go out together; a change never waits longer than that.
void Mesh::changed() {
  unsaved_ = true;
  if (flush_posted_ || !started_) return;
  flush_posted_ = true;
  loop_.post([alive = alive_, this] {
    if (!*alive || !flush_posted_) return;
    flush();
  });
}

// When the change happened that led to this object, as the endpoints controller says (Kubernetes' T0 of
// network_programming_duration): the way from there to every worker is measured.
void Mesh::note_trigger(const Json* object) {
  WallTime t0;
  if (object != nullptr && triggers_.size() < kTriggersMax &&
      parse_rfc3339(api::annotation(*object, "endpoints.kubernetes.io/last-change-trigger-time"), t0))
    triggers_.emplace_back(sequence_ + 1, t0);
}

void Mesh::observe_applied() {
  uint64_t applied = sequence_;
  for (const auto& thread : threads_) applied = std::min(applied, thread->applied);
  std::erase_if(triggers_, [&](const auto& trigger) {
    if (trigger.first > applied) return false;
    apply_latency_.observe(std::max(0.0, std::chrono::duration<double>(loop_.wall() - trigger.second).count()));
    return true;
  });
  applied_.notify();
}

void Mesh::flush() {
  flush_posted_ = false;
  auto update = std::make_shared<Update>();
  update->changes = discovery_.take_changes();
  update->freshness = freshness();
  update->sequence = ++sequence_;
  for (auto& thread : threads_) {
    if (thread->own_loop == nullptr) {
      thread->worker.apply(*update);
      thread->applied = update->sequence;
      continue;
    }
    thread->own_loop->post([this, alive = alive_, thread = thread.get(), shared = std::shared_ptr<const Update>(update)] {
      thread->worker.apply(*shared);
      loop_.post([this, alive, thread, sequence = shared->sequence] {
        if (!*alive) return;
        thread->applied = sequence;
        observe_applied();
      });
    });
  }
  observe_applied();
}

awaitable<Result<void>> Mesh::wait_applied(uint64_t sequence) {
  auto behind = [&] {
    return std::any_of(threads_.begin(), threads_.end(), [&](const auto& thread) { return thread->applied < sequence; });
  };
  while (behind()) co_await applied_.wait();
  co_return Result<void>();
}

awaitable<void> Mesh::drain(std::string pod_uid, std::vector<std::string> addresses, Duration limit) {
  auto begun = loop_.now();
  discovery_.drain(pod_uid, addresses);
  flush();
  auto applied = co_await async::with_timeout(loop_, limit, "drain", wait_applied(sequence_));
  if (!applied) log::warning("mesh", "a worker did not confirm that a pod is drained", {{"pod_uid", pod_uid}, {"reason", applied.error().message}});
  registry_.histogram("endpoints_removed_ack_seconds", "From the wish to stop a pod until no worker sends it new work.",
                      metrics::latency_bounds(1)).observe(std::chrono::duration<double>(loop_.now() - begun).count());
}

Freshness Mesh::freshness() const {
  Freshness out;
  auto services = services_.freshness(), slices = slices_.freshness();
  out.synced = adopted_;
  out.from_disk = from_disk_ && !adopted_;
  out.revision = adopted_ ? std::min(services.revision, slices.revision) : discovery_.revision();
  out.age = adopted_ ? std::max(services.age, slices.age) : loop_.now() - started_at_;
  return out;
}

bool Mesh::ready() const { return adopted_ || from_disk_; }

awaitable<void> Mesh::every_second() {
  auto last = Currency::kFresh;
  for (MonoTime second = loop_.now();;) {
    adopt_if_synced();
    if (loop_.now() - second >= 1s) {
      second = loop_.now();
      flush();   // carries the age of the view
      if (seconds_++ % kCountViewSeconds == 0) count_view();
      auto now = freshness().currency();
      if (adopted_ && now != last) {
        log::Level level = now == Currency::kStale ? log::Level::kWarning : log::Level::kInfo;
        log::write(level, "mesh", "the view is " + std::string(to_string(now)), {{"revision", freshness().revision}});
        last = now;
      }
      for (auto& thread : threads_) thread->ask_for_stats(loop_, alive_, [this](auto stats) { receive(std::move(stats)); });
      for (auto& [key, traffic] : traffic_) traffic->turn(loop_.now());
      if (unsaved_ && loop_.now() - saved_at_ >= 1s) save_last_known_good();
    }
    co_await loop_.sleep(adopted_ ? 1s : 10ms);
  }
}

void Mesh::receive(std::shared_ptr<const WorkerStats> stats) {
  for (const auto& port : stats->ports) {
    auto& traffic = traffic_[{port.service, port.port}];
    if (traffic == nullptr) traffic = std::make_unique<Traffic>();
    traffic->add(stats->worker, port, loop_.now());
  }
}

net::Handler Mesh::admin_handler() {
  return [this](net::Request& request, net::ResponseWriter& writer) { return answer_admin(request, writer); };
}

awaitable<void> Mesh::answer_admin(net::Request& request, net::ResponseWriter& writer) {
  auto target = net::parse_target(request.target);
  net::Response response;
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  if (request.method != "GET" && request.method != "HEAD") {
    response.status = 405;
    response.headers.set("Allow", "GET, HEAD");
  } else if (target.path == "/metrics") {
    count_view();
    response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    response.body = registry_.text();
  } else if (target.path == "/view") {
    response.headers.set("Content-Type", "application/json");
    response.body = to_text(view(target.param("service")));
  } else if (target.path == "/live") {
    response.body = "live\n";
  } else if (target.path == "/ready") {
    response.status = ready() ? 200 : 503;
    response.body = ready() ? "ready\n" : "no view yet: neither the API nor a last-known-good file has given one\n";
  } else {
    response.status = 404;
    response.body = "there are /metrics, /view, /ready and /live\n";
  }
  (void)co_await writer.send(std::move(response));
}

}  // namespace rs::mesh
