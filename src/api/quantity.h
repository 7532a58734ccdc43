// Quantities of resources (apimachinery resource.Quantity): "100m", "1.5Gi", "2e3". Values; any thread.
// Held in billionths, which covers Kubernetes' own range: what is finer is rounded up, what is larger is capped at
// 2^63-1 (resource.MaxMilliValue and the notes on Quantity).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rs::api {

struct Quantity {
  enum class Format { kDecimalSi, kBinarySi, kDecimalExponent };
  __int128 nanos = 0;
  Format format = Format::kDecimalSi;

  static std::optional<Quantity> parse(std::string_view text);
  // The form that Kubernetes stores and shows: "1000m" is "1", "0.5" is "500m", "1024Mi" is "1Gi".
  std::string canonical() const;
  static constexpr std::string_view kMalformed =
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
};

}  // namespace rs::api
