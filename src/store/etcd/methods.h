// Methods: the gRPC methods of a service by their paths, so that the gRPC server and the JSON gateway call the same code.
// Filled once, before anything is served; then only read. One loop.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "net/grpc.h"

namespace rs::store::etcd {

using Responder = std::unique_ptr<net::grpc::UnaryResponder>;

class Methods {
 public:
  void unary(std::string path, net::grpc::UnaryHandler handler) { unary_[std::move(path)] = std::move(handler); }
  void streaming(std::string path, net::grpc::StreamHandler handler) { streaming_[std::move(path)] = std::move(handler); }
  // nullptr: there is no such method (of that sort).
  const net::grpc::UnaryHandler* find_unary(std::string_view path) const { return find(unary_, path); }
  const net::grpc::StreamHandler* find_streaming(std::string_view path) const { return find(streaming_, path); }
  void add_to(net::grpc::Server& server) const {
    for (const auto& [path, handler] : unary_) server.unary(path, handler);
    for (const auto& [path, handler] : streaming_) server.streaming(path, handler);
  }

 private:
  template <class Map>
  static const typename Map::mapped_type* find(const Map& map, std::string_view path) {
    auto it = map.find(path);
    return it == map.end() ? nullptr : &it->second;
  }
  std::map<std::string, net::grpc::UnaryHandler, std::less<>> unary_;
  std::map<std::string, net::grpc::StreamHandler, std::less<>> streaming_;
};

}  // namespace rs::store::etcd
