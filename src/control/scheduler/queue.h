// Pods that wait for a node: highest priority first, then first come (k8s pkg/scheduler/backend/queue). A pod that fits
// nowhere waits until the cluster changes, and not before its back-off has passed. Pure: times are given. One loop.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "control/scheduler/cluster.h"

namespace rs::control {

class SchedulingQueue {
 public:
  static constexpr Duration kFirstBackoff = std::chrono::milliseconds(50);
  static constexpr Duration kLongestBackoff = std::chrono::seconds(1);
  // Even when no change was seen a pod is tried again after this long.
  static constexpr Duration kLongestWait = std::chrono::minutes(5);

  void put(PodInfoPtr pod, MonoTime now);   // new or changed; a changed one is tried again when its spec changed
  void remove(const api::ObjectKey& key);
  // The next pod to try; it is out of the queue until failed() or put().
  PodInfoPtr pop(MonoTime now);
  void failed(PodInfoPtr pod, MonoTime now);       // fits nowhere
  void try_again(PodInfoPtr pod, MonoTime now);    // an error: again after the back-off
  void cluster_changed(MonoTime now);              // those that fitted nowhere may fit now
  void forget(const api::ObjectKey& key) { attempts_.erase(key); }  // scheduled or gone
  // When something becomes ready to be tried; nothing while only changes can help.
  std::optional<MonoTime> next() const;
  bool contains(const api::ObjectKey& key) const { return waiting_.contains(key); }
  size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    PodInfoPtr pod;
    uint64_t arrival = 0;
    bool stuck = false;     // waits for a change
    MonoTime ready{};       // not before
    MonoTime deadline{};    // of a stuck one
  };
  struct Order {
    int64_t negative_priority;
    uint64_t arrival;
    api::ObjectKey key;
    friend auto operator<=>(const Order&, const Order&) = default;
  };
  void wait(PodInfoPtr pod, bool stuck, MonoTime now);
  void activate(Waiting& entry);
  void refresh(MonoTime now);
  std::map<api::ObjectKey, Waiting> waiting_;
  std::set<Order> active_;
  std::map<api::ObjectKey, int> attempts_;
  uint64_t arrivals_ = 0;
};

}  // namespace rs::control
