#include "api/codec.h"
#include "api/codec/json_reader.h"
#include "api/codec/normaliser.h"
#include "api/codec/protobuf_reader.h"
#include "api/codec/yaml_reader.h"

namespace rs::api {
namespace {

constexpr std::string_view kScheme = "pkg/api/legacyscheme/scheme.go:30";  // upstream's texts name it

struct Body {
  Json tree;                                  // an object
  std::vector<std::string> duplicates;        // paths (JSON)
  std::vector<YamlDuplicate> yaml_duplicates;
  bool is_yaml = false;
};

// apiserver's summarizeData: the start of a body for a message.
std::string summary(std::string_view body) {
  constexpr size_t kMost = 30;
  if (body.empty()) return "<empty>";
  std::string_view start = body.substr(0, kMost);
  std::string out;
  if (body.front() == '{') out = valid_utf8(start);
  else
    for (char c : start) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return body.size() > kMost ? out + " ..." : out;
}

std::string_view json_kind(const Json& value) {
  return value.is_array() ? "array" : value.is_string() ? "string" : value.is_bool() ? "bool" : "number";
}

Result<Body> read_body(MediaType type, std::string_view text) {
  Body body;
  if (type == MediaType::kYaml) {
    body.is_yaml = true;
    auto documents = read_yaml(text, 1, &body.yaml_duplicates);
    if (!documents) return fail_at("error converting YAML to JSON", documents.error());
    body.tree = documents->empty() ? Json(nullptr) : std::move(documents->front());
  } else {
    auto tree = read_json(text, &body.duplicates);
    if (!tree && tree.error().code == Code::kRequestEntityTooLarge) return fail(tree.error());
    if (!tree) return fail(Code::kBadRequest, "couldn't get version/kind; json parse error: {}", tree.error().message);
    body.tree = std::move(*tree);
  }
  if (body.tree.is_null()) body.tree.emplace_object();
  if (!body.tree.is_object())
    return fail(Code::kBadRequest,
                "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ "
                "APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
                json_kind(body.tree));
  for (std::string_view name : {"apiVersion", "kind"}) {
    const Json* value = find(body.tree, name);
    if (value != nullptr && !value->is_string())
      return fail(Code::kBadRequest,
                  "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field .{} of "
                  "type string",
                  value->is_object() ? "object" : json_kind(*value), name);
  }
  return body;
}

Error bad_request(std::string message) { return Error{Code::kBadRequest, std::move(message)}; }

// `Pod in version "v1" cannot be handled as a Pod: …` (apiserver transformDecodeError).
Error cannot_be_handled(const Kind& body_kind, const Kind& wanted, std::string_view why) {
  return bad_request(fmt::format("{} in version \"{}\" cannot be handled as a {}: {}", body_kind.kind, body_kind.version,
                                 wanted.kind, why));
}

struct Named {
  std::string group, version, kind;
};
Named split_version(std::string_view api_version, std::string_view kind) {
  size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) return {"", std::string(api_version), std::string(kind)};
  return {std::string(api_version.substr(0, slash)), std::string(api_version.substr(slash + 1)), std::string(kind)};
}

// The kind a body is of: what it says, completed by what is wanted.
Result<const Kind*> kind_of_body(std::string_view api_version, std::string_view kind, const Kind* wanted,
                                 std::string_view body) {
  if (wanted != nullptr) {
    std::string expected = wanted->group_version();
    if (api_version.empty()) api_version = expected;
    if (kind.empty()) kind = wanted->kind;
    if (api_version == expected && kind == wanted->kind) return wanted;
    Named named = split_version(api_version, kind);
    const Kind* other = known_kinds().by_kind(named.group, named.version, named.kind);
    if (other != nullptr && kind == wanted->kind)
      return fail(Code::kBadRequest, "the API version in the data ({}) does not match the expected API version ({})",
                  api_version, expected);
    Kind said;
    said.kind = kind;
    said.version = named.version;
    if (other != nullptr)
      return fail(cannot_be_handled(said, *wanted,
                                    fmt::format("converting (v1.{}) to (core.{}): unknown conversion", kind, wanted->kind)));
    return fail(cannot_be_handled(said, *wanted, fmt::format("no kind \"{}\" is registered for version \"{}\" in scheme \"{}\"",
                                                             kind, api_version, kScheme)));
  }
  if (kind.empty()) return fail(Code::kBadRequest, "Object 'Kind' is missing in '{}'", summary(body));
  if (api_version.empty()) return fail(Code::kBadRequest, "Object 'apiVersion' is missing in '{}'", summary(body));
  Named named = split_version(api_version, kind);
  const Kind* found = builtin_kinds().by_kind(named.group, named.version, named.kind);
  if (found == nullptr)
    return fail(Code::kBadRequest, "no kind \"{}\" is registered for version \"{}\" in scheme \"{}\"", kind, api_version,
                kScheme);
  return found;
}

struct Checked {
  std::vector<std::string> strict_errors;  // each one a warning
  std::string strict_text;                 // all of them, as the one error
};

// Normalises in place. Error: the wrong type in Go's words, without the "cannot be handled" frame.
Result<Checked> check(Body& body, const Kind& kind) {
  Checked out;
  JsonObject& members = body.tree.get_object();
  if (kind.type != nullptr) {
    Normaliser normaliser(std::move(body.duplicates));
    if (!normaliser.run(members, *kind.type)) return fail(Code::kBadRequest, "{}", normaliser.wrong_type());
    out.strict_errors = normaliser.strict_errors();
  }
  members["apiVersion"] = kind.group_version();
  members["kind"] = kind.kind;
  std::vector<std::string> parts;
  // Kubernetes reads YAML by way of a Go map, whose JSON has its members sorted.
  if (body.is_yaml) std::ranges::sort(out.strict_errors);
  if (!body.yaml_duplicates.empty()) parts.push_back(to_string(body.yaml_duplicates));
  parts.insert(parts.end(), out.strict_errors.begin(), out.strict_errors.end());
  out.strict_text = fmt::format("{}", fmt::join(parts, ", "));
  std::vector<std::string> lines;
  for (const YamlDuplicate& duplicate : body.yaml_duplicates) lines.push_back(to_string(duplicate));
  out.strict_errors.insert(out.strict_errors.begin(), lines.begin(), lines.end());
  return out;
}

Result<Decoded> decode_protobuf_object(std::string_view text, const Kind* wanted) {
  auto envelope = read_envelope(text);
  if (!envelope) {
    if (wanted == nullptr) return fail(envelope.error());
    return fail(Code::kBadRequest, "the object provided is unrecognized (must be of type {}): {} ({})", wanted->kind,
                envelope.error().message, summary(text));
  }
  auto kind = kind_of_body(envelope->api_version, envelope->kind, wanted, text);
  if (!kind) return fail(kind.error());
  if ((*kind)->type == nullptr)
    return fail(Code::kUnsupportedMediaType,
                "the body of the request was in an unknown format - accepted media types include: application/json, "
                "application/yaml");
  auto members = read_message(envelope->raw, *(*kind)->type);
  if (!members) return fail(cannot_be_handled(**kind, **kind, members.error().message));
  Body body;
  body.tree = std::move(*members);
  auto checked = check(body, **kind);
  if (!checked) return fail(cannot_be_handled(**kind, **kind, checked.error().message));
  return Decoded{std::move(body.tree), {}};
}

}  // namespace

Result<Decoded> decode_object(MediaType type, std::string_view text, const Kind* wanted, FieldValidation validation) {
  if (type == MediaType::kProtobuf) return decode_protobuf_object(text, wanted);
  auto body = read_body(type, text);
  if (!body) {
    if (wanted == nullptr || body.error().code != Code::kBadRequest) return fail(body.error());
    return fail(Code::kBadRequest, "the object provided is unrecognized (must be of type {}): {} ({})", wanted->kind,
                body.error().message, summary(text));
  }
  auto kind = kind_of_body(str(body->tree, "apiVersion"), str(body->tree, "kind"), wanted, text);
  if (!kind) return fail(kind.error());
  auto checked = check(*body, **kind);
  if (!checked) return fail(cannot_be_handled(**kind, **kind, checked.error().message));
  if (validation == FieldValidation::kStrict && !checked->strict_text.empty())
    return fail(cannot_be_handled(**kind, **kind, "strict decoding error: " + checked->strict_text));
  Decoded out{std::move(body->tree), {}};
  if (validation == FieldValidation::kWarn) out.warnings = std::move(checked->strict_errors);
  return out;
}

Result<Decoded> normalise(Json object, const Kind& kind, FieldValidation validation) {
  if (!object.is_object())
    return fail(Code::kBadRequest, "json: cannot unmarshal {} into Go value of type v1.{}", json_kind(object), kind.kind);
  Body body;
  body.tree = std::move(object);
  auto checked = check(body, kind);
  if (!checked) return fail(checked.error());
  if (validation == FieldValidation::kStrict && !checked->strict_text.empty())
    return fail(Code::kBadRequest, "strict decoding error: {}", checked->strict_text);
  Decoded out{std::move(body.tree), {}};
  if (validation == FieldValidation::kWarn) out.warnings = std::move(checked->strict_errors);
  return out;
}

Result<Json> decode_protobuf(std::string_view text) {
  auto envelope = read_envelope(text);
  if (!envelope) return fail(envelope.error());
  const TypeInfo* type = find_type(envelope->api_version, envelope->kind);
  if (type == nullptr)
    return fail(Code::kBadRequest, "no kind \"{}\" is registered for version \"{}\" in scheme \"{}\"", envelope->kind,
                envelope->api_version, kScheme);
  auto members = read_message(envelope->raw, *type);
  if (!members) return fail(members.error());
  Normaliser normaliser;
  if (!normaliser.run(*members, *type)) return fail(Code::kBadRequest, "{}", normaliser.wrong_type());
  (*members)["apiVersion"] = envelope->api_version;
  (*members)["kind"] = envelope->kind;
  return Json(std::move(*members));
}

}  // namespace rs::api
