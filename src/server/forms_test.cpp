// Tables, partial metadata, discovery, health, dry run, generated names, selectors in watches. Expected: reference A3, A4, A6, A9,
// A13, A19.
#include "server/server_fixture.h"

namespace rs::server {
namespace {
using testing::Server;

constexpr const char* kMaps = "/api/v1/namespaces/default/configmaps";
const net::Headers kTable{{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}};

awaitable<void> forms(Server& it) {
  co_await it.ask(201, "POST", kMaps, R"({"metadata":{"name":"a","labels":{"k":"1"}},"data":{"x":"y"}})");
  Json table = co_await it.ask(200, "GET", kMaps, "", kTable);
  EXPECT_EQ(str(table, "kind"), "Table");
  EXPECT_EQ(str(array(table, "columnDefinitions").at(0), "name"), "Name");
  const Json& row = array(table, "rows").at(0);
  EXPECT_EQ(array(row, "cells").at(0), Json("a"));
  EXPECT_EQ(str(row, "object", "kind"), "PartialObjectMetadata");
  Json partial = co_await it.ask(200, "GET", std::string(kMaps) + "/a", "",
                                 {{"Accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}});
  EXPECT_EQ(str(partial, "kind"), "PartialObjectMetadata");
  EXPECT_EQ(find(partial, "data"), nullptr);
  net::Response yaml = co_await it.call("GET", std::string(kMaps) + "/a", "", {{"Accept", "application/yaml"}});
  EXPECT_EQ(yaml.headers.get("Content-Type"), "application/yaml");
  EXPECT_NE(yaml.body.find("kind: ConfigMap"), std::string::npos);
}
TEST(Forms, TablePartialMetadataAndYaml) { Server().run(forms); }

awaitable<void> discovery(Server& it) {
  Json core = co_await it.ask(200, "GET", "/api/v1");
  bool status = false;
  for (const Json& resource : array(core, "resources")) {
    if (str(resource, "name") == "pods") EXPECT_EQ(array(resource, "shortNames").at(0), Json("po"));
    status |= str(resource, "name") == "pods/status";
  }
  EXPECT_TRUE(status);
  Json groups = co_await it.ask(200, "GET", "/apis");
  EXPECT_EQ(str(groups, "kind"), "APIGroupList");
  net::Headers wanted{{"Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}};
  net::Response aggregated = co_await it.call("GET", "/apis", "", wanted);
  EXPECT_EQ(aggregated.headers.get("Content-Type"), "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  wanted.add("If-None-Match", std::string(aggregated.headers.get("ETag")));
  EXPECT_EQ((co_await it.call("GET", "/apis", "", wanted)).status, 304);
  EXPECT_EQ(str(co_await it.ask(200, "GET", "/version"), "gitVersion"), "v1.32.4+roadstead");
  EXPECT_EQ((co_await it.call("GET", "/readyz?verbose")).body,
            "[+]ping ok\n[+]store ok\n[+]poststarthook/start-apiserver ok\nreadyz check passed\n");
  Json v3 = co_await it.ask(200, "GET", "/openapi/v3");
  std::string url(str(v3, "paths", "apis/apps/v1", "serverRelativeURL"));
  EXPECT_EQ((co_await it.call("GET", url)).headers.get("Cache-Control"), "public, immutable");
  EXPECT_EQ((co_await it.call("GET", "/openapi/v3/apis/apps/v1?hash=old")).status, 301);
  EXPECT_EQ((co_await it.call("GET", "/nothing")).status, 404);
}
TEST(Forms, DiscoveryVersionHealthAndOpenApi) { Server().run(discovery); }

awaitable<void> writes(Server& it) {
  Json dry = co_await it.ask(201, "POST", std::string(kMaps) + "?dryRun=All", R"({"metadata":{"name":"dry"}})");
  EXPECT_EQ(str(dry, "metadata", "name"), "dry");
  co_await it.ask(404, "GET", std::string(kMaps) + "/dry");
  Json one = co_await it.ask(201, "POST", kMaps, R"({"metadata":{"generateName":"g-"}})");
  Json two = co_await it.ask(201, "POST", kMaps, R"({"metadata":{"generateName":"g-"}})");
  EXPECT_EQ(str(one, "metadata", "name").size(), 7u);
  EXPECT_NE(str(one, "metadata", "name"), str(two, "metadata", "name"));
  Json strict = co_await it.ask(400, "POST", std::string(kMaps) + "?fieldValidation=Strict",
                                R"({"metadata":{"name":"s"},"dat":{}})");
  EXPECT_NE(str(strict, "message").find(R"(unknown field "dat")"), std::string::npos);
  net::Response warned = co_await it.call("POST", kMaps, R"({"metadata":{"name":"s"},"dat":{}})");
  EXPECT_EQ(warned.headers.get("Warning"), R"(299 - "unknown field \"dat\"")");
  Json versioned = co_await it.ask(500, "POST", kMaps, R"({"metadata":{"name":"v","resourceVersion":"3"}})");
  EXPECT_EQ(str(versioned, "message"), "resourceVersion should not be set on objects to be created");
  Json gone = co_await it.ask(200, "DELETE", std::string(kMaps) + "?fieldSelector=metadata.name=s");
  EXPECT_EQ(array(gone, "items").size(), 1u);
  EXPECT_EQ(array(co_await it.ask(200, "GET", kMaps), "items").size(), 2u);
  co_await it.ask(422, "DELETE", std::string(kMaps) + "/x?propagationPolicy=Never");
  co_await it.ask(409, "DELETE", fmt::format("{}/{}", kMaps, str(one, "metadata", "name")),
                  R"({"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"other"}})");
  Json big = co_await it.ask(413, "POST", kMaps, std::string(4 << 20, 'x'));
  EXPECT_EQ(str(big, "message"), "Request entity too large: limit is 3145728");
}
TEST(Writes, DryRunGeneratedNamesValidationAndPreconditions) { Server().run(writes); }

awaitable<void> selectors(Server& it) {
  auto lines = co_await watch(it, std::string(kMaps) + "?watch=1&labelSelector=k%3D1");
  auto patch = [&](std::string body) {
    return it.ask(200, "PATCH", std::string(kMaps) + "/s", std::move(body),
                  {{"Content-Type", "application/merge-patch+json"}});
  };
  co_await it.ask(201, "POST", kMaps, R"({"metadata":{"name":"s"}})");
  co_await patch(R"({"metadata":{"labels":{"k":"1"}},"data":{"a":"in"}})");
  Json event = co_await lines->next();
  EXPECT_EQ(str(event, "type"), "ADDED");
  EXPECT_EQ(str(event, "object", "data", "a"), "in");
  co_await patch(R"({"data":{"a":"still"}})");
  EXPECT_EQ(str(co_await lines->next(), "type"), "MODIFIED");
  Json out = co_await patch(R"({"metadata":{"labels":null},"data":{"a":"out"}})");
  event = co_await lines->next();
  EXPECT_EQ(str(event, "type"), "DELETED");
  EXPECT_EQ(str(event, "object", "data", "a"), "still");
  EXPECT_EQ(str(event, "object", "metadata", "resourceVersion"), str(out, "metadata", "resourceVersion"));
}
TEST(Watch, ChangesAreSeenThroughTheSelector) { Server().run(selectors); }

awaitable<void> events_views(Server& it) {
  co_await it.ask(201, "POST", "/api/v1/namespaces/default/events",
                  R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"p","namespace":"default"},)"
                  R"("reason":"R","message":"m","type":"Normal"})");
  Json other = co_await it.ask(200, "GET", "/apis/events.k8s.io/v1/namespaces/default/events/e");
  EXPECT_EQ(str(other, "apiVersion"), "events.k8s.io/v1");
  EXPECT_EQ(str(other, "note"), "m");
  EXPECT_EQ(str(other, "regarding", "name"), "p");
  Json found = co_await it.ask(200, "GET", "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dp");
  EXPECT_EQ(array(found, "items").size(), 1u);
}
TEST(Events, AreOneStorageWithTwoViews) { Server().run(events_views); }

awaitable<void> escalation(Server& it) {
  const char* roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
  co_await it.ask(201, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
                  R"({"metadata":{"name":"j"},"subjects":[{"kind":"User","name":"jane"}],)"
                  R"("roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"admin"}})");
  auto admin = std::exchange(it.transport, it.server->in_process({.name = "jane", .uid = {}, .groups = {}, .extra = {}}));
  co_await it.ask(201, "POST", roles,
                  R"({"metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]})");
  Json refused = co_await it.ask(403, "POST", roles,
                                 R"({"metadata":{"name":"n"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["nodes"]}]})");
  EXPECT_NE(str(refused, "message").find("is attempting to grant RBAC permissions not currently held"), std::string::npos);
  it.transport = std::move(admin);
}
TEST(Authorization, NoOneGrantsMoreThanTheyHave) { Server().run(escalation); }

}  // namespace
}  // namespace rs::server
