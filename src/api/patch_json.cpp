// RFC 6902 (JSON Patch) and RFC 7386 (JSON Merge Patch), with the choices of evanphx/json-patch 4 that Kubernetes
// inherits: negative array indexes count from the end, "test" of a missing member against null succeeds.
#include <charconv>

#include "api/patch.h"

namespace rs::api {
namespace {

constexpr size_t kMaxOperations = 10'000;
constexpr size_t kMaxPointerDepth = 128;
constexpr size_t kMaxDepth = 256;               // of the outcome, as of parsed JSON: deeper trees exhaust the stack
constexpr size_t kMaxCopiedBytes = 3u << 20;    // of all "copy" operations together, as large as a request may be

std::unexpected<Error> refused(std::string_view why) {
  return fail(Code::kInvalid, "the server rejected our request due to an error in our request: {}", why);
}
std::unexpected<Error> malformed(std::string_view why) {
  return fail(Code::kBadRequest, "error decoding patch: {}", why);
}

Result<std::vector<std::string>> parse_pointer(std::string_view text) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  if (text.front() != '/') return malformed(fmt::format("JSON pointer \"{}\" does not begin with '/'", text));
  for (size_t begin = 1; begin <= text.size();) {
    size_t end = std::min(text.find('/', begin), text.size());
    std::string token;
    for (size_t i = begin; i < end; ++i) {
      if (text[i] != '~') {
        token += text[i];
      } else {
        char next = i + 1 < end ? text[i + 1] : '\0';
        if (next != '0' && next != '1') return malformed(fmt::format("JSON pointer \"{}\" has a bad escape", text));
        token += next == '0' ? '~' : '/';
        ++i;
      }
    }
    out.push_back(std::move(token));
    if (out.size() > kMaxPointerDepth) return malformed("a JSON pointer is too deep");
    begin = end + 1;
  }
  return out;
}

size_t depth_of(const Json& value) {
  size_t deepest = 0;
  if (value.is_object())
    for (const auto& [name, member] : value.get_object()) deepest = std::max(deepest, depth_of(member));
  else if (value.is_array())
    for (const Json& item : value.get_array()) deepest = std::max(deepest, depth_of(item));
  else return 0;
  return deepest + 1;
}

std::optional<size_t> parse_index(std::string_view token, size_t size) {
  int64_t index = 0;
  auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (token.empty() || error != std::errc{} || end != token.data() + token.size()) return std::nullopt;
  if (index < 0) index += static_cast<int64_t>(size);
  if (index < 0) return std::nullopt;
  return static_cast<size_t>(index);
}

// Applies the operations one by one to a tree of its own.
class JsonPatcher {
 public:
  explicit JsonPatcher(Json root) : root_(std::move(root)) {}

  Result<Json> run(const JsonArray& operations) {
    for (const Json& operation : operations)
      if (std::optional<Error> error = step(operation)) return fail(std::move(*error));
    return std::move(root_);
  }

 private:
  using Pointer = std::vector<std::string>;

  // The value at the first count tokens of pointer, or null.
  Json* at(const Pointer& pointer, size_t count) {
    Json* value = &root_;
    for (size_t i = 0; i < count && value != nullptr; ++i) {
      if (value->is_object()) {
        value = value->get_object().if_contains(pointer[i]);
      } else if (value->is_array()) {
        JsonArray& items = value->get_array();
        std::optional<size_t> index = parse_index(pointer[i], items.size());
        value = index && *index < items.size() ? &items[*index] : nullptr;
      } else {
        value = nullptr;
      }
    }
    return value;
  }

  std::optional<Error> step(const Json& operation) {
    auto as_error = [](std::unexpected<Error> error) { return std::optional<Error>(std::move(error.error())); };
    if (!operation.is_object()) return as_error(malformed("an operation is not an object"));
    std::string_view op = str(operation, "op");
    const JsonObject& members = operation.get_object();
    const Json* path_text = members.if_contains("path");
    if (path_text == nullptr || !path_text->is_string()) return as_error(malformed("an operation has no path"));
    std::string_view text = path_text->get_string();
    Result<Pointer> path = parse_pointer(text);
    if (!path) return path.error();
    const Json* value = members.if_contains("value");
    std::string why;
    if (op == "add" || op == "replace" || op == "test") {
      if (value == nullptr && op != "test") return as_error(malformed(fmt::format("operation \"{}\" has no value", op)));
      if (op == "add") why = add(*path, *value);
      else if (op == "replace") why = replace(*path, *value);
      else why = test(*path, value == nullptr ? Json() : *value);
    } else if (op == "remove") {
      why = remove(*path);
    } else if (op == "move" || op == "copy") {
      Result<Pointer> from = parse_pointer(str(operation, "from"));
      if (!from) return from.error();
      why = op == "move" ? move(*from, *path) : copy(*from, *path);
    } else {
      return as_error(malformed(fmt::format("unexpected kind of operation: \"{}\"", op)));
    }
    if (why.empty()) return std::nullopt;
    return as_error(refused(fmt::format("{} {}: {}", op, text, why)));
  }

  // Each returns why it cannot be done, or empty.
  std::string add(const Pointer& path, Json value) {
    if (path.size() + depth_of(value) > kMaxDepth) return "the outcome is nested too deep";
    if (path.empty()) {
      root_ = std::move(value);
      return "";
    }
    Json* parent = at(path, path.size() - 1);
    if (parent == nullptr) return "doc is missing path";
    if (parent->is_object()) {
      parent->get_object()[path.back()] = std::move(value);
      return "";
    }
    if (!parent->is_array()) return "the parent is neither object nor array";
    JsonArray& items = parent->get_array();
    if (path.back() == "-") {
      items.push_back(std::move(value));
      return "";
    }
    std::optional<size_t> index = parse_index(path.back(), items.size() + 1);
    if (!index || *index > items.size()) return fmt::format("unable to access invalid index: {}", path.back());
    items.insert(items.begin() + static_cast<ptrdiff_t>(*index), std::move(value));
    return "";
  }

  std::string remove(const Pointer& path) {
    if (path.empty()) return "the whole document cannot be removed";
    Json* parent = at(path, path.size() - 1);
    if (parent == nullptr) return "doc is missing path";
    if (parent->is_object()) return parent->get_object().erase(path.back()) > 0 ? "" : "doc is missing key";
    if (!parent->is_array()) return "the parent is neither object nor array";
    JsonArray& items = parent->get_array();
    std::optional<size_t> index = parse_index(path.back(), items.size());
    if (!index || *index >= items.size()) return fmt::format("unable to access invalid index: {}", path.back());
    items.erase(items.begin() + static_cast<ptrdiff_t>(*index));
    return "";
  }

  std::string replace(const Pointer& path, const Json& value) {
    if (path.size() + depth_of(value) > kMaxDepth) return "the outcome is nested too deep";
    Json* target = at(path, path.size());
    if (target == nullptr) return "doc is missing key";
    *target = value;
    return "";
  }

  std::string test(const Pointer& path, const Json& value) {
    const Json* target = at(path, path.size());
    static const Json kNull;
    return (target == nullptr ? kNull : *target) == value ? "" : "test failed";
  }

  std::string move(const Pointer& from, const Pointer& path) {
    if (from == path) return at(from, from.size()) != nullptr ? "" : "doc is missing key";
    if (path.size() > from.size() && std::equal(from.begin(), from.end(), path.begin()))
      return "a value cannot be moved into itself";
    Json* source = at(from, from.size());
    if (source == nullptr) return "doc is missing key";
    Json value = *source;
    if (std::string why = remove(from); !why.empty()) return why;
    return add(path, std::move(value));
  }

  std::string copy(const Pointer& from, const Pointer& path) {
    const Json* source = at(from, from.size());
    if (source == nullptr) return "doc is missing key";
    copied_ += to_text(*source).size();
    if (copied_ > kMaxCopiedBytes) return fmt::format("unable to copy more than {} bytes", kMaxCopiedBytes);
    return add(path, Json(*source));
  }

  Json root_;
  size_t copied_ = 0;
};

}  // namespace

Result<Json> json_patch(const Json& object, const Json& patch) {
  if (!patch.is_array()) return malformed("a JSON patch is an array of operations");
  const JsonArray& operations = patch.get_array();
  if (operations.size() > kMaxOperations)
    return fail(Code::kRequestEntityTooLarge,
                "Request entity too large: The allowed maximum operations in a JSON patch is {}, got {}", kMaxOperations,
                operations.size());
  return JsonPatcher(object).run(operations);
}

Json merge_patch(Json object, const Json& patch) {
  if (!patch.is_object()) return patch;
  if (!object.is_object()) object.emplace_object();
  JsonObject& members = object.get_object();
  for (const auto& [name, value] : patch.get_object()) {
    if (value.is_null()) {
      members.erase(name);
    } else if (value.is_object()) {
      Json& member = members[name];
      member = merge_patch(std::move(member), value);
    } else {
      members[name] = value;
    }
  }
  return object;
}

}  // namespace rs::api
