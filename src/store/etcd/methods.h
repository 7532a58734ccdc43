// Methods: the gRPC methods of a service by their paths, so that the gRPC server and the JSON gateway call the same code,
// and count the same calls. Filled once, before anything is served. One loop.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "net/grpc.h"

namespace rs::store::etcd {

using Responder = std::unique_ptr<net::grpc::UnaryResponder>;

class Methods {
 public:
  template <class Handler>
  struct Method {
    Handler handler;
    net::grpc::CallCounts counts;
  };
  using Unary = Method<net::grpc::UnaryHandler>;
  using Streaming = Method<net::grpc::StreamHandler>;

  void unary(std::string path, net::grpc::UnaryHandler handler) { unary_[std::move(path)].handler = std::move(handler); }
  void streaming(std::string path, net::grpc::StreamHandler handler) {
    streaming_[std::move(path)].handler = std::move(handler);
  }
  // nullptr: there is no such method (of that sort).
  Unary* find_unary(std::string_view path) { return find(unary_, path); }
  Streaming* find_streaming(std::string_view path) { return find(streaming_, path); }
  const auto& all_unary() const { return unary_; }
  const auto& all_streaming() const { return streaming_; }
  // From now on it is noted how long calls take.
  void measure() {
    for (auto& [path, method] : unary_) method.counts.durations = std::make_unique<net::grpc::CallDurations>();
    for (auto& [path, method] : streaming_) method.counts.durations = std::make_unique<net::grpc::CallDurations>();
  }
  // Outlives the server.
  void add_to(net::grpc::Server& server) {
    for (auto& [path, method] : unary_) server.unary(path, method.handler, &method.counts);
    for (auto& [path, method] : streaming_) server.streaming(path, method.handler, &method.counts);
  }

 private:
  template <class Map>
  static typename Map::mapped_type* find(Map& map, std::string_view path) {
    auto it = map.find(path);
    return it == map.end() ? nullptr : &it->second;
  }
  std::map<std::string, Unary, std::less<>> unary_;
  std::map<std::string, Streaming, std::less<>> streaming_;
};

}  // namespace rs::store::etcd
