#include <charconv>

#include "server/encoding.h"
#include "server/list.h"

namespace rs::server {
namespace {

Result<std::optional<int64_t>> number(const net::Target& target, std::string_view name) {
  std::string_view text = target.param(name);
  if (text.empty()) return std::optional<int64_t>();
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Code::kBadRequest, "strconv.ParseInt: parsing \"{}\": invalid syntax", text);
  return std::optional<int64_t>(value);
}

std::unexpected<Error> invalid(std::string_view field, std::string_view reason, std::string message) {
  auto details = std::make_shared<ErrorDetails>();
  details->group = "meta.k8s.io";
  details->kind = "ListOptions";
  details->causes.push_back({std::string(reason), message, std::string(field)});
  return fail(Error{Code::kInvalid, fmt::format("ListOptions.meta.k8s.io \"\" is invalid: {}: {}", field, message), details});
}

// apimachinery internalversion/validation ValidateListOptions.
Result<void> check(const ListOptions& options, bool watch) {
  const std::string& match = options.resource_version_match;
  constexpr std::string_view kMatch = "resourceVersionMatch", kInitial = "sendInitialEvents";
  if (options.has_send_initial_events) {
    if (!watch) return invalid(kInitial, "FieldValueForbidden", "Forbidden: sendInitialEvents is forbidden for list");
    if (match != "NotOlderThan")
      return invalid(kMatch, "FieldValueForbidden",
                     "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    return {};
  }
  if (match.empty()) return {};
  if (watch)
    return invalid(kMatch, "FieldValueForbidden",
                   "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  if (options.resource_version.empty())
    return invalid(kMatch, "FieldValueForbidden",
                   "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
  if (!options.continue_token.empty())
    return invalid(kMatch, "FieldValueForbidden", "Forbidden: resourceVersionMatch is forbidden when continue is provided");
  if (match != "Exact" && match != "NotOlderThan")
    return invalid(kMatch, "FieldValueNotSupported",
                   fmt::format("Unsupported value: \"{}\": supported values: \"Exact\", \"NotOlderThan\"", match));
  if (match == "Exact" && options.resource_version == "0")
    return invalid(kMatch, "FieldValueForbidden",
                   "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
  return {};
}
}  // namespace

int64_t ListOptions::revision() const {
  int64_t value = 0;
  std::from_chars(resource_version.data(), resource_version.data() + resource_version.size(), value);
  return value;
}

Result<ListOptions> parse_list_options(const RequestInfo& info, const api::Kind& kind) {
  const net::Target& target = info.target;
  ListOptions options;
  auto labels = api::LabelSelector::parse(target.param("labelSelector"));
  if (!labels) return std::unexpected(labels.error());
  options.labels = std::move(*labels);
  auto fields = api::FieldSelector::parse(target.param("fieldSelector"), kind);
  if (!fields) return std::unexpected(fields.error());
  options.fields = std::move(*fields);
  for (auto [name, slot] : {std::pair{"timeoutSeconds", &options.timeout_seconds},
                            std::pair{"bookmarkPeriodSeconds", &options.bookmark_seconds}}) {
    auto value = number(target, name);
    if (!value) return std::unexpected(value.error());
    *slot = *value;
  }
  auto limit = number(target, "limit");
  if (!limit) return std::unexpected(limit.error());
  options.limit = std::max<int64_t>(0, limit->value_or(0));
  options.continue_token = target.param("continue");
  options.resource_version = target.param("resourceVersion");
  options.resource_version_match = target.param("resourceVersionMatch");
  options.bookmarks = is_true(target.param("allowWatchBookmarks"));
  options.has_send_initial_events = target.has_param("sendInitialEvents");
  options.send_initial_events = is_true(target.param("sendInitialEvents"));
  const std::string& version = options.resource_version;
  if (version.find_first_not_of("0123456789") != std::string::npos || version.size() > 18)
    return fail(Code::kBadRequest, "Invalid value: \"{}\": strconv.ParseUint: parsing \"{}\": invalid syntax", version, version);
  if (auto checked = check(options, info.wants_watch); !checked) return std::unexpected(checked.error());
  return options;
}

bool matches(const ListOptions& options, const CachedObject& object) {
  return (options.labels.empty() || options.labels.matches_object(object.index)) &&
         (options.fields.empty() || options.fields.matches(object.index));
}

std::string encode_continue(const ContinueToken& token) {
  return base64url(to_text(JsonObject{{"v", "meta.k8s.io/v1"}, {"rv", token.revision}, {"start", token.start}}));
}

Result<ContinueToken> decode_continue(std::string_view text) {
  auto invalid_token = [](std::string_view why) { return fail(Code::kBadRequest, "continue key is not valid: {}", why); };
  auto decoded = base64url_decode(text);
  if (!decoded) return invalid_token("encoding");
  auto json = parse_json(*decoded, {.depth = 4, .bytes = 4096});
  if (!json) return invalid_token("format");
  if (str(*json, "v") != "meta.k8s.io/v1") return invalid_token("server does not recognize this encoded version");
  ContinueToken token{integer(*json, "rv"), std::string(str(*json, "start"))};
  if (token.revision == 0) return invalid_token("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  if (token.start.empty() || token.start.find("..") != std::string::npos) return invalid_token("invalid start key");
  return token;
}

IncludeObject include_object(const RequestInfo& info) {
  std::string_view text = info.target.param("includeObject");
  return text == "None" ? IncludeObject::kNone : text == "Object" ? IncludeObject::kObject : IncludeObject::kMetadata;
}

}  // namespace rs::server
