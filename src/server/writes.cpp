#include "server/writes.h"

#include <charconv>

#include "api/meta.h"

namespace rs::server {
namespace {

std::string default_manager(const net::Request& request) {
  std::string_view agent = request.headers.get("User-Agent");
  std::string manager(agent.substr(0, agent.find('/')));
  if (manager.size() > 128) manager.resize(128);
  return manager.empty() ? "unknown" : manager;
}

Error options_invalid(std::string_view type, std::string_view field, std::string_view reason, std::string message) {
  auto details = std::make_shared<ErrorDetails>();
  details->kind = type;
  details->group = "meta.k8s.io";
  details->causes.push_back({std::string(reason), message, std::string(field)});
  return Error{Code::kInvalid, fmt::format("{}.meta.k8s.io \"\" is invalid: {}: {}", type, field, message), details};
}

std::string_view options_type(std::string_view verb) {
  return verb == "create" ? "CreateOptions" : verb == "update" ? "UpdateOptions" : verb == "patch" ? "PatchOptions" : "DeleteOptions";
}

Result<bool> parse_dry_run(const std::vector<std::string>& values, std::string_view type) {
  for (const std::string& value : values)
    if (value != "All" && !value.empty())
      return fail(options_invalid(type, "dryRun", "FieldValueNotSupported",
                                  fmt::format("Unsupported value: [\"{}\"]: supported values: \"All\"", value)));
  return !values.empty() && values.front() == "All";
}

std::string header_quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += (c == '\n' || c == '\r') ? ' ' : c;
  }
  return out + '"';
}
}  // namespace

Result<Write> make_write(const RequestContext& context) {
  Write write;
  write.kind = &context.kind;
  write.cache = context.core.cache.of(context.kind);
  if (write.cache == nullptr && context.kind.stored) return fail(method_not_allowed());
  write.ns = context.info.ns;
  write.name = context.info.name;
  write.subresource = context.info.subresource;
  write.user = context.user;
  const net::Target& target = context.info.target;
  std::string_view type = options_type(context.info.verb);
  auto dry_run = parse_dry_run(target.params("dryRun"), type);
  if (!dry_run) return std::unexpected(dry_run.error());
  write.dry_run = *dry_run;
  write.manager = target.param("fieldManager");
  if (write.manager.size() > 128)
    return fail(options_invalid(type, "fieldManager", "FieldValueTooLong", "Too long: may not be more than 128 bytes"));
  for (unsigned char c : write.manager)
    if (c < 0x20 || c == 0x7f)
      return fail(options_invalid(type, "fieldManager", "FieldValueInvalid",
                                  "Invalid value: should only contain printable characters"));
  if (write.manager.empty()) write.manager = default_manager(context.request);
  std::string_view validation = target.param("fieldValidation");
  if (validation == "Strict") write.validation = api::FieldValidation::kStrict;
  else if (validation == "Ignore") write.validation = api::FieldValidation::kIgnore;
  else if (!validation.empty() && validation != "Warn")
    return fail(options_invalid(type, "fieldValidation", "FieldValueNotSupported",
                                fmt::format("Unsupported value: \"{}\": supported values: \"\", \"Ignore\", \"Strict\", "
                                            "\"Warn\"", validation)));
  return write;
}

Result<Json> decode_body(const RequestContext& context, const api::Kind& kind, Write& write) {
  auto type = body_type(context.request.headers);
  if (!type) return std::unexpected(type.error());
  auto decoded = api::decode_object(*type, context.request.body, &kind, write.validation);
  if (!decoded) return std::unexpected(decoded.error());
  for (std::string& warning : decoded->warnings) write.warnings.push_back(std::move(warning));
  return std::move(decoded->object);
}

Result<Json> decode_any(const net::Request& request) {
  auto type = body_type(request.headers);
  if (!type) return std::unexpected(type.error());
  Result<Json> body = *type == api::MediaType::kProtobuf ? api::decode_protobuf(request.body)
                      : *type == api::MediaType::kYaml   ? api::parse_yaml(request.body)
                                                         : parse_json(request.body);
  if (body && !body->is_object()) return fail(Code::kBadRequest, "the body of the request is not an object");
  return body;
}

Result<net::Response> written_response(const RequestContext& context, const Write& write, const Written& written) {
  auto response = object_response(context.kind, written.created ? 201 : 200, context.accepted, context.info, written.bytes,
                                  context.core.loop.wall());
  if (!response) return response;
  for (const std::string& warning : write.warnings) response->headers.add("Warning", "299 - " + header_quoted(warning));
  return response;
}

awaitable<Result<net::Response>> handle_create(RequestContext context) {
  auto write = make_write(context);
  if (!write) co_return std::unexpected(write.error());
  auto object = decode_body(context, context.kind, *write);
  if (!object) co_return std::unexpected(object.error());
  auto written = co_await context.registry.create(*write, std::move(*object));
  if (!written) co_return std::unexpected(written.error());
  co_return written_response(context, *write, *written);
}

awaitable<Result<net::Response>> handle_update(RequestContext context) {
  auto write = make_write(context);
  if (!write) co_return std::unexpected(write.error());
  auto object = decode_body(context, context.kind, *write);
  if (!object) co_return std::unexpected(object.error());
  // The name may be left out of the body; a different one is refused.
  if (api::name_of(*object).empty()) set(*object, Json(context.info.name), "metadata", "name");
  const Json& wanted = *object;
  Registry::UpdateOptions options;
  options.may_create = write->subresource.empty() && strategy_of(context.kind).create_on_update();
  if (api::name_of(wanted) != context.info.name)
    co_return fail(Code::kBadRequest, "the name of the object ({}) does not match the name on the URL ({})",
                   api::name_of(wanted), context.info.name);
  auto written = co_await context.registry.update(*write, [&wanted](const Json*) { return Result<Json>(wanted); }, options);
  if (!written) co_return std::unexpected(written.error());
  co_return written_response(context, *write, *written);
}

Result<void> read_delete_options(const Json& body, DeleteOptions& options) {
  if (const Json* grace = find(body, "gracePeriodSeconds")) options.grace_period_seconds = integer_of(grace, 0);
  if (auto policy = str(body, "propagationPolicy"); !policy.empty()) options.propagation_policy = policy;
  if (const Json* orphan = find(body, "orphanDependents"); orphan != nullptr && orphan->is_bool())
    options.orphan_dependents = orphan->get_bool();
  options.uid = str(body, "preconditions", "uid");
  options.resource_version = str(body, "preconditions", "resourceVersion");
  std::vector<std::string> dry_run;
  for (const Json& value : array(body, "dryRun"))
    if (value.is_string()) dry_run.emplace_back(value.get_string());
  auto parsed = parse_dry_run(dry_run, "DeleteOptions");
  if (!parsed) return std::unexpected(parsed.error());
  options.dry_run |= *parsed;
  return {};
}

Result<DeleteOptions> parse_delete_options(const RequestContext& context) {
  DeleteOptions options;
  const net::Target& target = context.info.target;
  if (!context.request.body.empty()) {
    auto body = decode_any(context.request);
    if (!body) return std::unexpected(body.error());
    std::string_view kind = str(*body, "kind");
    if (!kind.empty() && kind != "DeleteOptions")
      return fail(Code::kBadRequest, "decoded object cannot be converted to DeleteOptions");
    if (auto read = read_delete_options(*body, options); !read) return std::unexpected(read.error());
  }
  if (std::string_view grace = target.param("gracePeriodSeconds"); !grace.empty()) {
    int64_t value = 0;
    auto [end, error] = std::from_chars(grace.data(), grace.data() + grace.size(), value);
    if (error != std::errc() || *end != '\0')
      return fail(Code::kBadRequest, "gracePeriodSeconds: Invalid value: \"{}\": not a number", grace);
    options.grace_period_seconds = value;
  }
  if (std::string_view policy = target.param("propagationPolicy"); !policy.empty()) options.propagation_policy = policy;
  if (target.has_param("orphanDependents")) options.orphan_dependents = is_true(target.param("orphanDependents"));
  auto dry_run = parse_dry_run(target.params("dryRun"), "DeleteOptions");
  if (!dry_run) return std::unexpected(dry_run.error());
  options.dry_run |= *dry_run;
  const std::string& policy = options.propagation_policy;
  if (!policy.empty() && options.orphan_dependents)
    return fail(options_invalid("DeleteOptions", "propagationPolicy", "FieldValueInvalid",
                                fmt::format("Invalid value: \"{}\": orphanDependents and deletionPropagation cannot be both "
                                            "set", policy)));
  if (!policy.empty() && policy != "Orphan" && policy != "Background" && policy != "Foreground")
    return fail(options_invalid("DeleteOptions", "propagationPolicy", "FieldValueNotSupported",
                                fmt::format("Unsupported value: \"{}\": supported values: \"Background\", \"Foreground\", "
                                            "\"Orphan\", nil", policy)));
  return options;
}

awaitable<Result<net::Response>> handle_delete(RequestContext context) {
  auto write = make_write(context);
  if (!write) co_return std::unexpected(write.error());
  auto options = parse_delete_options(context);
  if (!options) co_return std::unexpected(options.error());
  write->dry_run |= options->dry_run;
  auto written = co_await context.registry.remove(*write, *options);
  if (!written) co_return std::unexpected(written.error());
  auto response = written_response(context, *write, *written);
  if (response && !written->deleted && options->orphan_dependents && !*options->orphan_dependents) response->status = 202;
  co_return response;
}

awaitable<Result<net::Response>> handle_delete_collection(RequestContext context) {
  auto write = make_write(context);
  if (!write) co_return std::unexpected(write.error());
  auto options = parse_delete_options(context);
  if (!options) co_return std::unexpected(options.error());
  auto selection = parse_list_options(context.info, context.kind);
  if (!selection) co_return std::unexpected(selection.error());
  write->dry_run |= options->dry_run;
  if (auto consistent = co_await context.core.cache.wait_consistent(); !consistent)
    co_return std::unexpected(consistent.error());
  std::vector<ObjectPtr> objects = select(*write->cache, context.info.ns, *selection);
  std::string items;
  for (const ObjectPtr& object : objects) {
    Write one = *write;
    one.ns = object->ns();
    one.name = object->name();
    auto removed = co_await context.registry.remove(one, *options);
    if (!removed && removed.error().code != Code::kNotFound) co_return std::unexpected(removed.error());
    (items += items.empty() ? "" : ",") += *object->bytes;
  }
  co_return json_response(200, fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"{}"}},"items":[{}]}})"
                                           "\n", context.kind.list_kind(), context.kind.group_version(),
                                           context.core.cache.revision(), items));
}

}  // namespace rs::server
