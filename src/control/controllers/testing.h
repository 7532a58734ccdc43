// Objects for the tests of this room.
#pragma once

#include <gtest/gtest.h>

#include "control/controllers/pods.h"

namespace rs::control::testing {

inline const WallTime kNow{std::chrono::seconds(1767323045)};  // 2026-01-02T03:04:05Z

// JSON with single quotes for double ones.
inline Json json(std::string text) {
  for (char& c : text)
    if (c == '\'') c = '"';
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? std::move(*parsed) : Json();
}
inline ObjectPtr shared(Json object) { return std::make_shared<const Json>(std::move(object)); }

inline Json ready_condition(bool ready, WallTime since) {
  return JsonObject{{"type", "Ready"}, {"status", ready ? "True" : "False"}, {"lastTransitionTime", rfc3339(since)}};
}

struct PodOptions {
  std::string phase = "Running";
  std::string node = "n1";
  bool ready = true;
  Duration age = std::chrono::hours(1);
};
inline Json pod(const std::string& name, PodOptions options = {}) {
  Json out = json("{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'bank','labels':{'app':'pay'}},"
                  "'spec':{'containers':[{'name':'c'}]},'status':{}}");
  set(out, Json(name), "metadata", "name");
  set(out, Json("uid-" + name), "metadata", "uid");
  set(out, Json(rfc3339(kNow - options.age)), "metadata", "creationTimestamp");
  if (!options.node.empty()) set(out, Json(options.node), "spec", "nodeName");
  set(out, Json(options.phase), "status", "phase");
  set(out, Json(JsonArray{ready_condition(options.ready, kNow - options.age)}), "status", "conditions");
  return out;
}

}  // namespace rs::control::testing
