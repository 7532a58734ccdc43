// Client: typed calls to a Kubernetes API server, over any Transport. One loop.
//
// Objects are Json trees. Errors are the server's Status: its reason as Code, its message, its details; kUnavailable and
// kTimeout when there was no answer.
#pragma once

#include "api/meta.h"
#include "client/transport.h"

namespace rs::client {

struct Resource {
  std::string group, version, plural, kind;
  bool namespaced = true;
  std::string path(std::string_view ns, std::string_view name = {}, std::string_view subresource = {}) const;
};

namespace resources {
extern const Resource kNamespaces, kNodes, kPods, kServices, kEndpoints, kEndpointSlices, kConfigMaps, kSecrets,
    kServiceAccounts, kEvents, kLeases, kDeployments, kReplicaSets, kJobs, kPodDisruptionBudgets;
}  // namespace resources
// From the table of built-in kinds; nothing for an unknown one.
std::optional<Resource> resource_for(std::string_view api_version, std::string_view kind);

struct ListOptions {
  std::string ns;               // empty: all namespaces
  std::string label_selector, field_selector;
  std::string resource_version; // "" most recent, "0" any
  int64_t limit = 0;            // pages are followed: the answer is always whole
};
struct ObjectList {
  int64_t resource_version = 0;
  std::vector<Json> items;      // with apiVersion and kind filled in
};

struct DeleteOptions {
  std::optional<int64_t> grace_period_seconds;
  std::string propagation_policy;       // Background, Foreground, Orphan or empty
  std::string precondition_uid;
  std::string precondition_resource_version;
};

enum class PatchType { kJson, kMerge, kStrategic, kApply };

struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark } type;
  Json object;
};
// Events in order. An ERROR event ends it with that Status (kExpired: list again).
class EventStream {
 public:
  explicit EventStream(std::unique_ptr<net::ResponseStream> stream);
  awaitable<Result<std::optional<WatchEvent>>> next();  // nothing: the server ended the watch cleanly

 private:
  std::unique_ptr<net::ResponseStream> stream_;
  std::string buffer_;
  size_t parsed_ = 0;
};

class Client {
 public:
  // name: field manager and User-Agent.
  Client(async::Loop& loop, Transport& transport, std::string name);

  awaitable<Result<Json>> get(const Resource& resource, api::ObjectKey key);
  awaitable<Result<ObjectList>> list(const Resource& resource, ListOptions options = {});
  awaitable<Result<Json>> create(const Resource& resource, Json object);
  // subresource: "", "status", "scale". The object's resourceVersion, when set, must be current (kConflict).
  awaitable<Result<Json>> update(const Resource& resource, Json object, std::string subresource = {});
  awaitable<Result<Json>> patch(const Resource& resource, api::ObjectKey key, PatchType type, Json patch,
                                std::string subresource = {});
  awaitable<Result<Json>> remove(const Resource& resource, api::ObjectKey key, DeleteOptions options = {});
  // POST to a subresource: binding, eviction, token.
  awaitable<Result<Json>> post(const Resource& resource, api::ObjectKey key, std::string subresource, Json body);
  awaitable<Result<std::unique_ptr<EventStream>>> watch(const Resource& resource, ListOptions options,
                                                        std::string resource_version, int bookmark_seconds = 1);
  awaitable<Result<net::Response>> raw(net::Request request);

  async::Loop& loop() { return loop_; }
  const std::string& name() const { return name_; }
  Duration timeout = std::chrono::seconds(10);

 private:
  awaitable<Result<Json>> send(std::string method, std::string target, std::string content_type, std::string body);
  async::Loop& loop_;
  Transport& transport_;
  std::string name_;
};

// The Status body of a failed answer as an Error.
Error error_from_status(int http_status, std::string_view body);

}  // namespace rs::client
