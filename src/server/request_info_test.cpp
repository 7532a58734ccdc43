// Expected values: reference A1, A3 (apiserver request/requestinfo_test.go has the same shapes).
#include "server/request_info.h"

#include <gtest/gtest.h>

#include "server/list.h"
#include "server/negotiate.h"

namespace rs::server {
namespace {

struct Row {
  const char* method;
  const char* target;
  const char* verb;
  const char* group;
  const char* ns;
  const char* resource;
  const char* subresource;
  const char* name;
};

TEST(RequestInfo, ReadsPathsAndVerbs) {
  const Row rows[] = {
      {"GET", "/api/v1/pods", "list", "", "", "pods", "", ""},
      {"GET", "/api/v1/namespaces/a/pods/p", "get", "", "a", "pods", "", "p"},
      {"GET", "/api/v1/namespaces/a/pods/p/log?follow=1", "get", "", "a", "pods", "log", "p"},
      {"POST", "/api/v1/namespaces/a/pods/p/eviction", "create", "", "a", "pods", "eviction", "p"},
      {"GET", "/api/v1/namespaces/a", "get", "", "a", "namespaces", "", "a"},
      {"PUT", "/api/v1/namespaces/a/finalize", "update", "", "a", "namespaces", "finalize", "a"},
      {"GET", "/api/v1/watch/namespaces/a/pods", "watch", "", "a", "pods", "", ""},
      {"GET", "/apis/apps/v1/deployments?watch=true", "watch", "apps", "", "deployments", "", ""},
      {"GET", "/apis/apps/v1/namespaces/a/deployments/d/scale", "get", "apps", "a", "deployments", "scale", "d"},
      {"DELETE", "/api/v1/namespaces/a/pods", "deletecollection", "", "a", "pods", "", ""},
      {"PATCH", "/api/v1/nodes/n/status", "patch", "", "", "nodes", "status", "n"},
      {"GET", "/api/v1/nodes?fieldSelector=metadata.name%3Dn", "list", "", "", "nodes", "", "n"},
      {"GET", "/api/v1/namespaces/a/services/x%2Fy", "get", "", "a", "services", "", "x/y"},
  };
  for (const Row& row : rows) {
    auto info = parse_request_info(row.method, row.target);
    ASSERT_TRUE(info.has_value()) << row.target;
    EXPECT_TRUE(info->is_resource) << row.target;
    EXPECT_EQ(info->verb, row.verb) << row.target;
    EXPECT_EQ(info->group, row.group) << row.target;
    EXPECT_EQ(info->ns, row.ns) << row.target;
    EXPECT_EQ(info->resource, row.resource) << row.target;
    EXPECT_EQ(info->subresource, row.subresource) << row.target;
    EXPECT_EQ(info->name, row.name) << row.target;
  }
  for (const char* path : {"/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/healthz"})
    EXPECT_FALSE(parse_request_info("GET", path)->is_resource) << path;
  EXPECT_FALSE(parse_request_info("GET", "/api/v1/%zz").has_value());
}

TEST(Negotiate, TakesTheFirstFormWeServe) {
  auto of = [](const char* accept) { return negotiate({{"Accept", accept}}); };
  EXPECT_EQ(of("*/*")->media, api::MediaType::kJson);
  EXPECT_EQ(of("application/vnd.kubernetes.protobuf,application/json")->media, api::MediaType::kJson);
  EXPECT_EQ(of("application/vnd.kubernetes.protobuf")->media, api::MediaType::kProtobuf);
  EXPECT_EQ(of("application/yaml")->media, api::MediaType::kYaml);
  auto table = of("application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,"
                  "application/json");
  EXPECT_EQ(table->as, Accepted::As::kTable);
  EXPECT_EQ(table->version, "v1");
  EXPECT_EQ(of("application/json;as=Other;v=v1;g=meta.k8s.io, application/json")->as, Accepted::As::kObject);
  EXPECT_EQ(of("text/html").error().code, Code::kNotAcceptable);
  EXPECT_TRUE(negotiate({}).has_value());
}

TEST(ContinueToken, ComesBackAndRefusesOthers) {
  auto token = decode_continue(encode_continue({42, "default/a"}));
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(token->revision, 42);
  EXPECT_EQ(token->start, "default/a");
  for (const char* text : {"", "!!", "e30", "bnVsbA"}) EXPECT_EQ(decode_continue(text).error().code, Code::kBadRequest) << text;
  EXPECT_FALSE(decode_continue(encode_continue({1, "../secrets"})).has_value());
}

}  // namespace
}  // namespace rs::server
