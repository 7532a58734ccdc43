// Schema: what the JSON gateway knows of etcd's protobuf messages (reference etcd-api.md A.1) and
// paths (A.13): names, numbers and types, as data. Made once, then only read.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rs::store::etcd::gateway {

struct MessageType;

struct EnumType {
  std::string name;
  std::vector<std::pair<std::string, int32_t>> values;
};

struct Field {
  enum class Type : uint8_t { kBool, kInt64, kUint64, kUint32, kString, kBytes, kEnum, kMessage };
  std::string name;       // of the .proto file
  std::string json_name;  // the same in lowerCamelCase, taken as well
  uint32_t number = 0;
  Type type = Type::kBool;
  bool repeated = false;
  int oneof = -1;  // index into MessageType::oneofs; -1: of none
  const EnumType* enumeration = nullptr;
  const MessageType* message = nullptr;
};

struct MessageType {
  std::string name;           // with its package
  std::vector<Field> fields;  // in the order in which they are written
  std::vector<std::string> oneofs;
  const Field* by_name(std::string_view name) const;
};

struct Route {
  enum class Kind { kUnary, kServerStream, kKeepAlive, kWatch };
  std::string path;    // "/v3/kv/range"
  std::string method;  // "/etcdserverpb.KV/Range"
  const MessageType* request = nullptr;
  const MessageType* response = nullptr;
  Kind kind = Kind::kUnary;
};

class Schema {
 public:
  Schema();
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;
  const MessageType* message(std::string_view name) const;
  const Route* route(std::string_view path) const;
  const std::map<std::string, Route, std::less<>>& routes() const { return routes_; }

 private:
  void add_type(std::string_view line);
  void resolve(std::string_view line);
  void add_route(std::string_view line);
  std::map<std::string, MessageType, std::less<>> messages_;
  std::map<std::string, EnumType, std::less<>> enums_;
  std::map<std::string, Route, std::less<>> routes_;
};

// One message or enum a line ("package.Name: field=number:type, …"); a line that begins with a
// space goes on the last.
extern const std::string_view kTypes;
// "path method request response kind", a line each; types without a package are etcdserverpb's.
extern const std::string_view kRoutes;

}  // namespace rs::store::etcd::gateway
