#include "control/scheduler/queue.h"

namespace rs::control {

void SchedulingQueue::put(PodInfoPtr pod, MonoTime now) {
  auto it = waiting_.find(pod->key);
  if (it != waiting_.end()) {
    const Json *before = find(*it->second.pod->object, "spec"), *after = find(*pod->object, "spec");
    bool same = it->second.pod->uid == pod->uid && before != nullptr && after != nullptr && *before == *after &&
                it->second.pod->labels() == pod->labels();
    if (same) {
      it->second.pod = std::move(pod);
      return;
    }
    remove(pod->key);
  }
  Waiting& entry = waiting_[pod->key];
  entry.pod = std::move(pod);
  entry.arrival = ++arrivals_;
  entry.ready = now;
  activate(entry);
}

void SchedulingQueue::activate(Waiting& entry) {
  entry.stuck = false;
  active_.insert({-entry.pod->priority, entry.arrival, entry.pod->key});
}

void SchedulingQueue::remove(const api::ObjectKey& key) {
  auto it = waiting_.find(key);
  if (it == waiting_.end()) return;
  active_.erase({-it->second.pod->priority, it->second.arrival, key});
  waiting_.erase(it);
}

void SchedulingQueue::refresh(MonoTime now) {
  for (auto& [key, entry] : waiting_) {
    bool ready = entry.stuck ? entry.deadline <= now : entry.ready <= now;
    if (ready) activate(entry);
  }
}

PodInfoPtr SchedulingQueue::pop(MonoTime now) {
  if (active_.empty()) refresh(now);
  if (active_.empty()) return nullptr;
  auto it = waiting_.find(active_.begin()->key);
  PodInfoPtr pod = it->second.pod;
  active_.erase(active_.begin());
  waiting_.erase(it);
  return pod;
}

void SchedulingQueue::wait(PodInfoPtr pod, bool stuck, MonoTime now) {
  int attempt = std::min(attempts_[pod->key]++, 10);
  Waiting& entry = waiting_[pod->key];
  entry.arrival = ++arrivals_;
  entry.stuck = stuck;
  entry.ready = now + std::min(kLongestBackoff, kFirstBackoff * (1 << attempt));
  entry.deadline = now + kLongestWait;
  entry.pod = std::move(pod);
}

void SchedulingQueue::failed(PodInfoPtr pod, MonoTime now) { wait(std::move(pod), true, now); }
void SchedulingQueue::try_again(PodInfoPtr pod, MonoTime now) { wait(std::move(pod), false, now); }

void SchedulingQueue::cluster_changed(MonoTime now) {
  for (auto& [key, entry] : waiting_) {
    if (!entry.stuck) continue;
    entry.stuck = false;
    if (entry.ready <= now) activate(entry);
  }
}

std::optional<MonoTime> SchedulingQueue::next() const {
  if (!active_.empty()) return MonoTime{};
  std::optional<MonoTime> soonest;
  for (const auto& [key, entry] : waiting_) {
    MonoTime ready = entry.stuck ? entry.deadline : entry.ready;
    if (!soonest.has_value() || ready < *soonest) soonest = ready;
  }
  return soonest;
}

}  // namespace rs::control
