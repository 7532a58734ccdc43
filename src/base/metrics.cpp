#include "base/metrics.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/assert.h"

namespace rs::metrics {

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(new std::atomic<uint64_t>[bounds_.size() + 1]()) {
  ASSERT(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double value) {
  auto index = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[index].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::vector<uint64_t> Histogram::buckets() const {
  std::vector<uint64_t> counts(bounds_.size() + 1);
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = counts_[i].load(std::memory_order_relaxed);
  return counts;
}

uint64_t Histogram::count() const {
  uint64_t total = 0;
  for (uint64_t count : buckets()) total += count;
  return total;
}

double Histogram::quantile(double q) const {
  auto counts = buckets();
  uint64_t total = 0;
  for (uint64_t count : counts) total += count;
  if (total == 0) return 0;
  double rank = q * static_cast<double>(total);
  double before = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    auto here = static_cast<double>(counts[i]);
    if (before + here >= rank && here > 0) {
      double low = i == 0 ? 0 : bounds_[i - 1];
      double high = i < bounds_.size() ? bounds_[i] : bounds_.back();
      return low + (high - low) * ((rank - before) / here);
    }
    before += here;
  }
  return bounds_.empty() ? 0 : bounds_.back();
}

std::vector<double> latency_bounds(double units_per_second) {
  std::vector<double> bounds;
  for (double decade = 1e-4; decade < 100; decade *= 10)
    for (double step : {1.0, 2.0, 5.0})
      if (decade * step <= 60) bounds.push_back(decade * step * units_per_second);
  bounds.push_back(60 * units_per_second);
  return bounds;
}

Registry::Series& Registry::series(std::string_view name, std::string_view help, std::string_view type, Labels labels) {
  std::lock_guard lock(mutex_);
  auto it = families_.find(name);
  if (it == families_.end()) it = families_.emplace(std::string(name), Family{std::string(help), std::string(type), {}}).first;
  ASSERT(it->second.type == type, "one metric name, two types");
  return it->second.series[std::move(labels)];
}

Counter& Registry::counter(std::string_view name, std::string_view help, Labels labels) {
  auto& entry = series(name, help, "counter", std::move(labels));
  std::lock_guard lock(mutex_);
  if (!entry.counter) entry.counter = std::make_unique<Counter>();
  return *entry.counter;
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, Labels labels) {
  auto& entry = series(name, help, "gauge", std::move(labels));
  std::lock_guard lock(mutex_);
  if (!entry.gauge) entry.gauge = std::make_unique<Gauge>();
  return *entry.gauge;
}

Histogram& Registry::histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds, Labels labels) {
  auto& entry = series(name, help, "histogram", std::move(labels));
  std::lock_guard lock(mutex_);
  if (!entry.histogram) entry.histogram = std::make_unique<Histogram>(bounds);
  return *entry.histogram;
}

void Registry::on_scrape(std::function<void()> function) {
  std::lock_guard lock(mutex_);
  on_scrape_.push_back(std::move(function));
}

void Registry::remove(std::string_view name, const Labels& labels) {
  std::lock_guard lock(mutex_);
  if (auto it = families_.find(name); it != families_.end()) it->second.series.erase(labels);
}

namespace {
std::string label_text(const Labels& labels, std::string_view extra = {}) {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += out.empty() ? "{" : ",";
    (out += name) += "=\"";
    for (char c : value) {
      if (c == '\\' || c == '"') (out += '\\') += c;
      else if (c == '\n') out += "\\n";
      else out += c;
    }
    out += '"';
  }
  if (!extra.empty()) (out += out.empty() ? "{" : ",") += extra;
  if (!out.empty()) out += '}';
  return out;
}

void append_histogram(std::string& out, const std::string& name, const Labels& labels, const Histogram& histogram) {
  auto sink = std::back_inserter(out);
  uint64_t total = 0;
  auto counts = histogram.buckets();
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    auto bound = i < histogram.bounds().size() ? fmt::format("{}", histogram.bounds()[i]) : std::string("+Inf");
    fmt::format_to(sink, "{}_bucket{} {}\n", name, label_text(labels, fmt::format("le=\"{}\"", bound)), total);
  }
  fmt::format_to(sink, "{}_sum{} {}\n{}_count{} {}\n", name, label_text(labels), histogram.sum(), name,
                 label_text(labels), total);
}
}  // namespace

std::string Registry::text() const {
  std::vector<std::function<void()>> hooks;
  {
    std::lock_guard lock(mutex_);
    hooks = on_scrape_;
  }
  for (const auto& hook : hooks) hook();
  std::lock_guard lock(mutex_);
  std::string out;
  auto sink = std::back_inserter(out);
  for (const auto& [name, family] : families_) {
    if (family.series.empty()) continue;
    fmt::format_to(sink, "# HELP {} {}\n# TYPE {} {}\n", name, family.help, name, family.type);
    for (const auto& [labels, series] : family.series) {
      if (series.counter) fmt::format_to(sink, "{}{} {}\n", name, label_text(labels), series.counter->value());
      if (series.gauge) fmt::format_to(sink, "{}{} {}\n", name, label_text(labels), series.gauge->value());
      if (series.histogram) append_histogram(out, name, labels, *series.histogram);
    }
  }
  return out;
}

}  // namespace rs::metrics
