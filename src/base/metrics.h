// Metrics: counters, gauges and histograms with labels, written in the Prometheus text format (version 0.0.4).
//
// A Registry is made by main and passed by reference. A handle (Counter& …) is found once and then costs one relaxed
// atomic operation an update, from any thread. Handles live as long as their registry; a label set that is no longer
// wanted is dropped with remove().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace rs::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(uint64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double delta) { value_.fetch_add(delta, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Fixed upper bounds, ascending; +Inf is implied.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void observe(double value);
  uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  // Estimated by linear interpolation inside the bucket; 0 without observations.
  double quantile(double q) const;
  const std::vector<double>& bounds() const { return bounds_; }
  std::vector<uint64_t> buckets() const;  // not cumulative; one more than bounds

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

// 1-2-5 steps from 0.1 ms to 60 s, in the unit given (1e3: milliseconds, 1: seconds).
std::vector<double> latency_bounds(double units_per_second);

class Registry {
 public:
  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds, Labels labels = {});
  // Called for each scrape, to set gauges that are cheaper to compute than to keep.
  void on_scrape(std::function<void()> function);
  void remove(std::string_view name, const Labels& labels);
  std::string text() const;

 private:
  struct Series {
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
  };
  struct Family {
    std::string help, type;
    std::map<Labels, Series> series;
  };
  Series& series(std::string_view name, std::string_view help, std::string_view type, Labels labels);
  mutable std::mutex mutex_;  // registration and scrapes only, never an update
  std::map<std::string, Family, std::less<>> families_;
  std::vector<std::function<void()>> on_scrape_;
};

}  // namespace rs::metrics
