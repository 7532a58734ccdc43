// Create, get, list, update, patch, delete over the in-process transport. Expected values: reference A7, A8, A12, A18.
#include "server/server_fixture.h"

namespace rs::server {
namespace {
using testing::Server;

constexpr const char* kMaps = "/api/v1/namespaces/default/configmaps";

std::string config_map(std::string_view name, std::string_view value = "1") {
  return fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}"}},"data":{{"a":"{}"}}}})", name, value);
}

awaitable<void> lifecycle(Server& it) {
  Json made = co_await it.ask(201, "POST", kMaps, config_map("one"));
  EXPECT_EQ(str(made, "metadata", "name"), "one");
  EXPECT_EQ(str(made, "metadata", "namespace"), "default");
  EXPECT_EQ(str(made, "metadata", "uid").size(), 36u);
  EXPECT_FALSE(str(made, "metadata", "resourceVersion").empty());
  EXPECT_FALSE(str(made, "metadata", "creationTimestamp").empty());
  Json got = co_await it.ask(200, "GET", std::string(kMaps) + "/one");
  EXPECT_EQ(got, made);
  Json again = co_await it.ask(409, "POST", kMaps, config_map("one"));
  EXPECT_EQ(str(again, "reason"), "AlreadyExists");
  EXPECT_EQ(str(again, "message"), "configmaps \"one\" already exists");

  // A no-op update keeps the resourceVersion; a change moves it; a stale one conflicts.
  Json same = co_await it.ask(200, "PUT", std::string(kMaps) + "/one", to_text(got));
  EXPECT_EQ(str(same, "metadata", "resourceVersion"), str(made, "metadata", "resourceVersion"));
  set(got, Json("2"), "data", "a");
  Json changed = co_await it.ask(200, "PUT", std::string(kMaps) + "/one", to_text(got));
  EXPECT_NE(str(changed, "metadata", "resourceVersion"), str(made, "metadata", "resourceVersion"));
  set(got, Json("3"), "data", "a");
  Json conflict = co_await it.ask(409, "PUT", std::string(kMaps) + "/one", to_text(got));
  EXPECT_EQ(str(conflict, "message"),
            "Operation cannot be fulfilled on configmaps \"one\": the object has been modified; please apply your changes "
            "to the latest version and try again");
  Json list = co_await it.ask(200, "GET", kMaps);
  EXPECT_EQ(str(list, "kind"), "ConfigMapList");
  EXPECT_EQ(array(list, "items").size(), 1u);

  Json gone = co_await it.ask(200, "DELETE", std::string(kMaps) + "/one");
  EXPECT_EQ(str(gone, "status"), "Success");
  EXPECT_EQ(str(gone, "details", "kind"), "configmaps");
  Json missing = co_await it.ask(404, "GET", std::string(kMaps) + "/one");
  EXPECT_EQ(to_text(missing),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps \"one\" not found",)"
            R"("reason":"NotFound","details":{"name":"one","kind":"configmaps"},"code":404})");
  EXPECT_EQ(array(co_await it.ask(200, "GET", kMaps), "items").size(), 0u);
}
TEST(ApiServer, CreatesReadsUpdatesAndDeletes) { Server().run(lifecycle); }

awaitable<void> chunks(Server& it) {
  for (int i = 0; i < 5; ++i) co_await it.ask(201, "POST", kMaps, config_map(fmt::format("m{}", i)));
  Json first = co_await it.ask(200, "GET", std::string(kMaps) + "?limit=2");
  EXPECT_EQ(array(first, "items").size(), 2u);
  EXPECT_EQ(integer(first, "metadata", "remainingItemCount"), 3);
  // What happens between the chunks is not seen by the later ones.
  co_await it.ask(200, "DELETE", std::string(kMaps) + "/m3");
  Json second = co_await it.ask(200, "GET", fmt::format("{}?limit=2&continue={}", kMaps, str(first, "metadata", "continue")));
  EXPECT_EQ(str(second, "metadata", "resourceVersion"), str(first, "metadata", "resourceVersion"));
  if (array(second, "items").size() == 2)
    EXPECT_EQ(str(array(second, "items")[1], "metadata", "name"), "m3");
  else ADD_FAILURE();
  Json third = co_await it.ask(200, "GET", fmt::format("{}?limit=2&continue={}", kMaps, str(second, "metadata", "continue")));
  EXPECT_EQ(array(third, "items").size(), 1u);
  EXPECT_EQ(str(third, "metadata", "continue"), "");
  Json bad = co_await it.ask(400, "GET", std::string(kMaps) + "?limit=2&continue=zzz");
  EXPECT_EQ(str(bad, "reason"), "BadRequest");
}
TEST(ApiServer, ListsInChunksAtOneRevision) { Server().run(chunks); }

awaitable<void> watching(Server& it) {
  Json list = co_await it.ask(200, "GET", kMaps);
  auto lines = co_await watch(it, fmt::format("{}?watch=1&allowWatchBookmarks=true&bookmarkPeriodSeconds=1&resourceVersion={}",
                                              kMaps, str(list, "metadata", "resourceVersion")));
  Json made = co_await it.ask(201, "POST", kMaps, config_map("w"));
  Json event = co_await lines->next();
  EXPECT_EQ(str(event, "type"), "ADDED");
  EXPECT_EQ(event.at("object"), made);
  co_await it.ask(200, "DELETE", std::string(kMaps) + "/w");
  event = co_await lines->next();
  EXPECT_EQ(str(event, "type"), "DELETED");
  EXPECT_GT(std::stoll(std::string(str(event, "object", "metadata", "resourceVersion"))),
            std::stoll(std::string(str(made, "metadata", "resourceVersion"))));
  event = co_await lines->next();
  EXPECT_EQ(str(event, "type"), "BOOKMARK");
  // A server that started later knows nothing of the revisions before.
  ApiServer later(it.loop, *it.store, api::builtin_kinds(), it.options);
  EXPECT_TRUE((co_await later.start()).has_value());
  it.transport = later.in_process({.name = "admin", .uid = {}, .groups = {kMasters}, .extra = {}});
  auto old = co_await watch(it, std::string(kMaps) + "?watch=1&resourceVersion=1");
  event = co_await old->next();
  old.reset();
  co_await later.stop();
  EXPECT_EQ(str(event, "type"), "ERROR");
  EXPECT_EQ(integer(event, "object", "code"), 410);
}
TEST(ApiServer, WatchShowsChangesBookmarksAndExpiry) { Server().run(watching); }

awaitable<void> initial_events(Server& it) {
  co_await it.ask(201, "POST", kMaps, config_map("i"));
  auto lines = co_await watch(it, std::string(kMaps) + "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
                                                       "&allowWatchBookmarks=true");
  EXPECT_EQ(str(co_await lines->next(), "type"), "ADDED");
  Json end = co_await lines->next();
  EXPECT_EQ(str(end, "type"), "BOOKMARK");
  EXPECT_EQ(str(end, "object", "metadata", "annotations", "k8s.io/initial-events-end"), "true");
  Json refused = co_await it.ask(422, "GET", std::string(kMaps) + "?watch=1&sendInitialEvents=true");
  EXPECT_EQ(str(refused, "reason"), "Invalid");
}
TEST(ApiServer, WatchListSendsTheStateFirst) { Server().run(initial_events); }

awaitable<void> bad_requests(Server& it) {
  EXPECT_EQ(str(co_await it.ask(404, "GET", "/api/v1/namespaces/default/nothings"), "message"),
            "the server could not find the requested resource");
  co_await it.ask(400, "POST", kMaps, "{\"kind\":");
  co_await it.ask(400, "POST", kMaps, std::string(100'000, '['));
  co_await it.ask(415, "POST", kMaps, "x", {{"Content-Type", "text/plain"}});
  co_await it.ask(406, "GET", kMaps, "", {{"Accept", "text/html"}});
  co_await it.ask(404, "POST", "/api/v1/namespaces/absent/configmaps", config_map("a"));
  co_await it.ask(422, "POST", kMaps, config_map("Bad_Name"));
  co_await it.ask(405, "PUT", kMaps, config_map("a"));
}
TEST(ApiServer, AnswersBadRequestsWithStatus) { Server().run(bad_requests); }

awaitable<void> finalizers(Server& it) {
  std::string item = std::string(kMaps) + "/f";
  co_await it.ask(201, "POST", kMaps,
                  R"({"metadata":{"name":"f","finalizers":["example.com/hold"]},"data":{}})");
  Json held = co_await it.ask(200, "DELETE", item);
  EXPECT_FALSE(str(held, "metadata", "deletionTimestamp").empty());
  EXPECT_EQ(str(co_await it.ask(409, "POST", kMaps, config_map("f")), "message"),
            "object is being deleted: configmaps \"f\" already exists");
  co_await it.ask(200, "PATCH", item, R"({"metadata":{"finalizers":null}})",
                  {{"Content-Type", "application/merge-patch+json"}});
  co_await it.ask(404, "GET", item);
}
TEST(ApiServer, FinalizersHoldADeletedObject) { Server().run(finalizers); }

awaitable<void> services(Server& it) {
  std::string body = R"({"metadata":{"name":"web"},"spec":{"type":"NodePort","ports":[{"port":80}]}})";
  Json made = co_await it.ask(201, "POST", "/api/v1/namespaces/default/services", body);
  EXPECT_TRUE(str(made, "spec", "clusterIP").starts_with("10.43."));
  int64_t port = integer(array(made, "spec", "ports").at(0), "nodePort");
  EXPECT_GE(port, 30000);
  Json kubernetes = co_await it.ask(200, "GET", "/api/v1/namespaces/default/services/kubernetes");
  EXPECT_EQ(str(kubernetes, "spec", "clusterIP"), "10.43.0.1");
  std::string clash = fmt::format(R"({{"metadata":{{"name":"b"}},"spec":{{"clusterIP":"{}","ports":[{{"port":80}}]}}}})",
                                  str(made, "spec", "clusterIP"));
  Json refused = co_await it.ask(422, "POST", "/api/v1/namespaces/default/services", clash);
  EXPECT_NE(str(refused, "message").find("provided IP is already allocated"), std::string::npos);
  co_await it.ask(200, "DELETE", "/api/v1/namespaces/default/services/web");
  co_await it.ask(201, "POST", "/api/v1/namespaces/default/services", clash);
}
TEST(ApiServer, ServicesGetUniqueAddresses) { Server().run(services); }

}  // namespace
}  // namespace rs::server
