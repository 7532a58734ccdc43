// Authentication and authorization. Expected values: reference A15.
#include "net/tls.h"
#include "server/server_fixture.h"

namespace rs::server {
namespace {
using testing::Server;

awaitable<net::Response> as(Server& it, UserInfo user, std::string method, std::string target, std::string body = {}) {
  auto transport = it.server->in_process(std::move(user));
  net::Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  auto response = co_await transport->call(std::move(request), std::chrono::seconds(10));
  co_return response ? std::move(*response) : net::Response{};
}

awaitable<void> roles(Server& it) {
  UserInfo jane{.name = "jane", .uid = {}, .groups = {}, .extra = {}};
  auto denied = co_await as(it, jane, "GET", "/api/v1/namespaces/default/pods");
  EXPECT_EQ(denied.status, 403);
  EXPECT_NE(denied.body.find(R"(pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the )"
                             R"(namespace \"default\")"),
            std::string::npos)
      << denied.body;
  EXPECT_EQ((co_await as(it, jane, "GET", "/apis")).status, 200);
  co_await it.ask(201, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
                  R"({"metadata":{"name":"j"},"subjects":[{"kind":"User","name":"jane"}],)"
                  R"("roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"}})");
  EXPECT_EQ((co_await as(it, jane, "GET", "/api/v1/namespaces/default/pods")).status, 200);
  EXPECT_EQ((co_await as(it, jane, "GET", "/api/v1/namespaces/default/secrets")).status, 403);
  EXPECT_EQ((co_await as(it, jane, "GET", "/api/v1/namespaces/kube-system/pods")).status, 403);
  std::string question = R"({"spec":{"resourceAttributes":{"verb":"list","resource":"pods","namespace":"default"}}})";
  auto review = co_await as(it, jane, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", question);
  EXPECT_EQ(review.status, 201);
  EXPECT_NE(review.body.find(R"("allowed":true)"), std::string::npos) << review.body;
  auto self = co_await as(it, jane, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}");
  EXPECT_NE(self.body.find(R"("username":"jane")"), std::string::npos) << self.body;
}
TEST(Authorization, RolesGiveAndNothingElse) { Server().run(roles); }

// A writer that keeps the answer, for requests through handler() as HTTP makes them.
struct Keep final : net::ResponseWriter {
  net::Response response;
  awaitable<Result<void>> send(net::Response r) override {
    response = std::move(r);
    co_return Result<void>();
  }
  awaitable<Result<void>> start(int, net::Headers) override { co_return Result<void>(); }
  awaitable<Result<void>> write(std::shared_ptr<const std::string>) override { co_return Result<void>(); }
  awaitable<Result<void>> finish(net::Headers) override { co_return Result<void>(); }
  awaitable<Result<std::unique_ptr<net::Stream>>> upgrade(net::Headers) override { co_return fail(Code::kBadRequest, "no"); }
  bool started() const override { return false; }
};

awaitable<net::Response> through_http(Server& it, std::string target, net::Headers headers) {
  net::Request request;
  request.target = std::move(target);
  request.headers = std::move(headers);
  Keep writer;
  co_await it.server->handler()(request, writer);
  co_return writer.response;
}

awaitable<void> tokens(Server& it) {
  co_await it.ask(201, "POST", "/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"robot"}})");
  Json made = co_await it.ask(201, "POST", "/api/v1/namespaces/default/serviceaccounts/robot/token", R"({"spec":{}})");
  std::string token(str(made, "status", "token"));
  EXPECT_EQ(std::count(token.begin(), token.end(), '.'), 2);
  auto denied = co_await through_http(it, "/api/v1/namespaces/default/pods", {{"Authorization", "Bearer " + token}});
  EXPECT_EQ(denied.status, 403);
  EXPECT_NE(denied.body.find("system:serviceaccount:default:robot"), std::string::npos) << denied.body;
  std::string broken = token;
  broken[broken.size() - 10] = broken[broken.size() - 10] == 'A' ? 'B' : 'A';
  EXPECT_EQ((co_await through_http(it, "/api", {{"Authorization", "Bearer " + broken}})).status, 401);
  EXPECT_EQ((co_await through_http(it, "/readyz", {})).status, 200);
  EXPECT_EQ((co_await through_http(it, "/api/v1/nodes", {})).status, 403);
  Json review = co_await it.ask(201, "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
                                fmt::format(R"({{"spec":{{"token":"{}"}}}})", token));
  EXPECT_TRUE(boolean(review, "status", "authenticated"));
  co_await it.ask(200, "DELETE", "/api/v1/namespaces/default/serviceaccounts/robot");
  EXPECT_EQ((co_await through_http(it, "/api", {{"Authorization", "Bearer " + token}})).status, 401);
}
TEST(Authentication, ServiceAccountTokensLiveAsLongAsTheirAccount) {
  Server server;
  auto key = net::make_ca("tokens", std::chrono::hours(1));
  ASSERT_TRUE(key.has_value());
  server.options.service_account_key = key->private_key;
  server.run(tokens);
}

}  // namespace
}  // namespace rs::server
