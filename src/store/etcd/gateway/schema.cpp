#include "store/etcd/gateway/schema.h"

#include <charconv>

#include "base/assert.h"

namespace rs::store::etcd::gateway {
namespace {

// The part of text before separator; text becomes what follows it.
std::string_view take(std::string_view& text, std::string_view separator) {
  size_t at = text.find(separator);
  std::string_view head = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + separator.size());
  return head;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

int32_t number_of(std::string_view text) {
  int32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  ASSERT(error == std::errc() && end == text.data() + text.size(), "a number in the schema");
  return value;
}

std::string camel_case(std::string_view name) {
  std::string out;
  bool upper = false;
  for (char c : name) {
    if (c == '_') {
      upper = true;
    } else {
      out += upper && c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c;
      upper = false;
    }
  }
  return out;
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

// The lines of a table, with their continuations.
std::vector<std::string> lines_of(std::string_view table) {
  std::vector<std::string> out;
  while (!table.empty()) {
    std::string_view line = take(table, "\n");
    if (line.empty()) continue;
    if (line.front() == ' ')
      (out.back() += ' ') += trim(line);
    else
      out.emplace_back(line);
  }
  return out;
}

std::string_view package_of(std::string_view name) {
  return name.substr(0, name.find('.'));
}

}  // namespace

const Field* MessageType::by_name(std::string_view wanted) const {
  for (const Field& field : fields) {
    if (field.name == wanted || field.json_name == wanted) return &field;
  }
  return nullptr;
}

Schema::Schema() {
  const auto types = lines_of(kTypes);
  for (const std::string& line : types) add_type(line);
  for (const std::string& line : types) resolve(line);
  for (const std::string& line : lines_of(kRoutes)) add_route(line);
}

const MessageType* Schema::message(std::string_view name) const {
  auto it = messages_.find(name);
  return it == messages_.end() ? nullptr : &it->second;
}

const Route* Schema::route(std::string_view path) const {
  auto it = routes_.find(path);
  return it == routes_.end() ? nullptr : &it->second;
}

void Schema::add_type(std::string_view line) {
  bool is_enum = take_prefix(line, "enum ");
  std::string name(take(line, ":"));
  if (!is_enum) {
    messages_[name].name = name;
    return;
  }
  EnumType& type = enums_[name];
  type.name = name;
  for (line = trim(line); !line.empty(); line = trim(line)) {
    std::string_view value = take(line, ",");
    std::string_view value_name = take(value, "=");
    type.values.emplace_back(value_name, number_of(value));
  }
}

void Schema::resolve(std::string_view line) {
  if (line.starts_with("enum ")) return;
  MessageType& owner = messages_.find(take(line, ":"))->second;
  for (line = trim(line); !line.empty(); line = trim(line)) {
    std::string_view text = take(line, ",");
    Field field;
    if (take_prefix(text, "oneof ")) {
      std::string_view oneof = take(text, " ");
      if (owner.oneofs.empty() || owner.oneofs.back() != oneof) owner.oneofs.emplace_back(oneof);
      field.oneof = int(owner.oneofs.size()) - 1;
    }
    field.name = take(text, "=");
    field.json_name = camel_case(field.name);
    field.number = uint32_t(number_of(take(text, ":")));
    field.repeated = take_prefix(text, "repeated ");
    using Type = Field::Type;
    static constexpr std::pair<std::string_view, Type> kScalars[] = {
        {"bool", Type::kBool},     {"int64", Type::kInt64},   {"uint64", Type::kUint64},
        {"uint32", Type::kUint32}, {"string", Type::kString}, {"bytes", Type::kBytes}};
    bool found = false;
    for (const auto& [name, type] : kScalars) {
      if (text != name) continue;
      field.type = type;
      found = true;
    }
    // Names are looked up as protobuf does: inside the message, in its package, then as they are.
    const std::string inner = owner.name + "." + std::string(text);
    const std::string sibling = std::string(package_of(owner.name)) + "." + std::string(text);
    for (std::string_view name : {std::string_view(inner), std::string_view(sibling), text}) {
      if (found) break;
      if (auto it = messages_.find(name); it != messages_.end()) {
        field.type = Type::kMessage;
        field.message = &it->second;
        found = true;
      } else if (auto type = enums_.find(name); type != enums_.end()) {
        field.type = Type::kEnum;
        field.enumeration = &type->second;
        found = true;
      }
    }
    ASSERT(found, "a type of the schema is not in it");
    owner.fields.push_back(std::move(field));
  }
}

void Schema::add_route(std::string_view line) {
  Route route;
  route.path = take(line, " ");
  route.method = "/" + std::string(take(line, " "));
  for (const MessageType** type : {&route.request, &route.response}) {
    std::string name(take(line, " "));
    *type = message(name.find('.') == std::string::npos ? "etcdserverpb." + name : name);
    ASSERT(*type != nullptr, "a message of a route is not in the schema");
  }
  if (line == "watch")
    route.kind = Route::Kind::kWatch;
  else if (line == "keepalive")
    route.kind = Route::Kind::kKeepAlive;
  else if (line == "stream")
    route.kind = Route::Kind::kServerStream;
  else
    ASSERT(line == "unary", "a kind of route");
  routes_.emplace(route.path, std::move(route));
}

}  // namespace rs::store::etcd::gateway
