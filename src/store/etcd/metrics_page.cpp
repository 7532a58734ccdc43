// /metrics under etcd's names, types and words (reference etcd-api.md A.13). What belongs to
// several nodes has the value that a cluster of one gives it.
#include "store/etcd/metrics_text.h"
#include "store/etcd/service.h"
#include "store/mvcc/machine.h"
#include "store/mvcc/watch_hub.h"

namespace rs::store::etcd {
namespace {

constexpr size_t kClientVersionsMax = 64;

void disk_metrics(MetricsText& out, const Embedded::Activity& activity, int views) {
  out.gauge("etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.",
            double(activity.written_bytes));
  // There is nothing to defragment.
  out.gauge("etcd_disk_defrag_inflight",
            "Whether or not defrag is active on the member. 1 means active, 0 means not.", 0);
  out.gauge("etcd_mvcc_db_open_read_transactions", "The number of currently open read transactions",
            views);
}

void server_metrics(MetricsText& out, const Embedded::Activity& activity, uint64_t durable,
                    double quota) {
  out.gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.",
            1);
  out.gauge("etcd_server_is_leader",
            "Whether or not this member is a leader. 1 if is, 0 otherwise.", 1);
  out.gauge("etcd_server_is_learner",
            "Whether or not this member is a learner. 1 if is, 0 otherwise.", 0);
  out.counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.", 1);
  out.counter("etcd_server_learner_promote_successes",
              "The total number of successful learner promotions while this member is leader.", 0);
  out.counter(
      "etcd_server_heartbeat_send_failures_total",
      "The total number of leader heartbeat send failures (likely overloaded from slow disk).", 0);
  out.gauge("etcd_server_snapshot_apply_in_progress_total",
            "1 if the server is applying the incoming snapshot. 0 if none.", 0);
  out.gauge("etcd_server_proposals_applied_total",
            "The total number of consensus proposals applied.", double(durable));
  out.gauge("etcd_server_proposals_committed_total",
            "The total number of consensus proposals committed.", double(durable));
  out.counter("etcd_server_proposals_failed_total", "The total number of failed proposals seen.",
              activity.proposals_failed);
  out.gauge("etcd_server_proposals_pending", "The current number of pending proposals to commit.",
            double(activity.proposals_pending));
  out.gauge("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.",
            quota);
  out.counter("etcd_server_slow_apply_total",
              "The total number of slow apply requests (likely overloaded from slow disk).",
              activity.slow_groups);
  // Reads are answered at once, at what is durable.
  out.counter("etcd_server_slow_read_indexes_total",
              "The total number of pending read indexes not in sync with leader's or timed out "
              "read index requests.",
              0);
  out.counter("etcd_server_read_indexes_failed_total",
              "The total number of failed read indexes seen.", 0);
  out.counter("etcd_server_lease_expired_total", "The total number of expired leases.",
              activity.leases_expired);
  out.counter("etcd_debugging_server_lease_expired_total", "The total number of expired leases.",
              activity.leases_expired);
  out.counter("etcd_debugging_lease_renewed_total",
              "The number of renewed leases seen by the leader.", activity.leases_renewed);
}

void mvcc_metrics(MetricsText& out, const mvcc::Counters& counters, uint64_t large_ranges) {
  struct Twin {
    std::string_view name, help;
    uint64_t value;
  };
  const Twin twins[] = {
      {"put_total", "Total number of puts seen by this member.", counters.puts},
      {"delete_total", "Total number of deletes seen by this member.", counters.deletes},
      {"txn_total", "Total number of txns seen by this member.", counters.txns},
      {"range_total", "Total number of ranges seen by this member.",
       counters.ranges + large_ranges}};
  for (std::string_view prefix : {"etcd_mvcc_", "etcd_debugging_mvcc_"}) {
    for (const auto& [name, help, value] : twins)
      out.counter(fmt::format("{}{}", prefix, name), help, value);
  }
  out.gauge("etcd_debugging_mvcc_total_put_size_in_bytes",
            "The total size of put kv pairs seen by this member.", double(counters.put_bytes));
  out.counter("etcd_debugging_mvcc_db_compaction_keys_total", "Total number of db keys compacted.",
              counters.compacted_versions);
  out.counter("etcd_debugging_lease_granted_total", "The total number of granted leases.",
              counters.leases_granted);
  out.counter("etcd_debugging_lease_revoked_total", "The total number of revoked leases.",
              counters.leases_revoked);
}

}  // namespace

EtcdService::Latencies::Latencies(metrics::Registry* registry) {
  if (registry == nullptr) return;
  auto find = [&](std::string_view name, std::string_view help, double first, int count) {
    std::vector<double> bounds;
    for (double bound = first; count-- > 0; bound *= 2) bounds.push_back(bound);
    return &registry->histogram(name, help, bounds);
  };
  hash = find("etcd_mvcc_hash_duration_seconds",
              "The latency distribution of storage hash operation.", .01, 15);
  hash_kv = find("etcd_mvcc_hash_rev_duration_seconds",
                 "The latency distribution of storage hash by revision operation.", .01, 15);
  snapshot = find("etcd_disk_backend_snapshot_duration_seconds",
                  "The latency distribution of backend snapshots.", .01, 17);
  defragment = find("etcd_disk_backend_defrag_duration_seconds",
                    "The latency distribution of backend defragmentation.", .1, 13);
}

void EtcdService::count_request(const net::Headers& metadata, bool streaming) {
  std::string_view version = metadata.get("client-api-version");
  if (version.empty()) version = "unknown";
  if (counts_.last_client == nullptr || counts_.last_client->first != version) {
    auto it = counts_.requests.find(version);
    // A client may say anything.
    if (it == counts_.requests.end() && counts_.requests.size() >= kClientVersionsMax)
      version = "other";
    if (it == counts_.requests.end()) it = counts_.requests.try_emplace(std::string(version)).first;
    counts_.last_client = &*it;
  }
  ++(streaming ? counts_.last_client->second.stream : counts_.last_client->second.unary);
}

void EtcdService::write_requests(MetricsText& out) const {
  out.family("etcd_server_client_requests_total", "counter",
             "The total number of client requests per client version.");
  for (const auto& [version, requests] : counts_.requests) {
    for (auto [type, count] :
         {std::pair{"stream", requests.stream}, std::pair{"unary", requests.unary}}) {
      if (count > 0)
        out.sample(count, fmt::format(R"(client_api_version="{}",type="{}")", escape_label(version),
                                      type));
    }
  }
}

std::string EtcdService::metrics_text() {
  std::string text;
  if (options_.metrics != nullptr) text = options_.metrics->text();
  MetricsText out(text);
  const Status status = store_.try_status();
  const Embedded::Activity activity = store_.activity();
  // Writes that changed nothing have no revision, but were applied as well.
  const uint64_t durable =
      activity.proposals - activity.proposals_pending - activity.proposals_failed;
  server_metrics(out, activity, durable, double(store_.quota_bytes()));
  mvcc_metrics(out, store_.machine().counters(), counts_.large_ranges);

  out.family("etcd_server_id", "gauge",
             "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.");
  out.sample(uint64_t(1), fmt::format(R"(server_id="{:x}")", ids_.member));
  out.family("etcd_server_version", "gauge",
             "Which version is running. 1 for 'server_version' label with current version.");
  out.sample(uint64_t(1), fmt::format(R"(server_version="{}")", kEtcdVersion));
  out.family(
      "etcd_cluster_version", "gauge",
      "Which version is running. 1 for 'cluster_version' label with current cluster version");
  out.sample(uint64_t(1), fmt::format(R"(cluster_version="{}")", kClusterVersion));
  write_requests(out);
  health_.write_metrics(out);
  disk_metrics(out, activity, snapshots_ + counts_.hashes);

  for (std::string_view prefix : {"etcd_mvcc_", "etcd_debugging_mvcc_"})
    out.gauge(fmt::format("{}db_total_size_in_bytes", prefix),
              "Total size of the underlying database physically allocated in bytes.",
              double(status.db_size_bytes));
  out.gauge("etcd_mvcc_db_total_size_in_use_in_bytes",
            "Total size of the underlying database logically in use in bytes.",
            double(status.live_bytes));
  out.gauge("etcd_debugging_auth_revision", "The current revision of auth store.",
            double(guard_.state().revision));
  out.gauge("etcd_debugging_mvcc_keys_total", "Total number of keys.",
            double(store_.machine().index().keys()));
  out.gauge("etcd_debugging_mvcc_current_revision", "The current revision of store.",
            double(status.revision));
  out.gauge("etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store.",
            double(status.compact_revision));
  out.counter("etcd_debugging_mvcc_events_total", "Total number of events sent by this member.",
              counts_.events_sent);
  out.gauge("etcd_debugging_mvcc_pending_events_total",
            "Total number of pending events to be sent.",
            double(counts_.events_queued - counts_.events_sent));
  out.gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.",
            double(store_.hub().size()));
  out.gauge("etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.",
            double(store_.hub().unsynced()));
  out.gauge("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.",
            double(streams_.size()));
  grpc_metrics(out, methods_);
  process_metrics(out);
  return text;
}

}  // namespace rs::store::etcd
