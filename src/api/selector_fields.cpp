// Field selectors (apimachinery fields/selector.go) and the values they compare (registry/*/strategy.go ToSelectableFields).
#include "api/selector.h"

namespace rs::api {
namespace {

constexpr size_t kMaxSelectorBytes = 64 * 1024;

std::vector<std::string_view> split_terms(std::string_view text) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  bool escaped = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (escaped) escaped = false;
    else if (text[i] == '\\') escaped = true;
    else if (text[i] == ',') {
      out.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  out.push_back(text.substr(begin));
  return out;
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  bool escaped = false;
  for (char c : text) {
    bool special = c == '\\' || c == ',' || c == '=';
    if (escaped) {
      if (!special) return fail(Code::kBadRequest, "invalid field selector: invalid escape sequence: \\{}", c);
      out += c;
      escaped = false;
    } else if (c == '\\') {
      escaped = true;
    } else if (special) {
      return fail(Code::kBadRequest, "invalid field selector: unescaped character in value: {}", c);
    } else {
      out += c;
    }
  }
  if (escaped) return fail(Code::kBadRequest, "invalid field selector: invalid escape sequence: \\");
  return out;
}

bool can_select(const Kind& kind, std::string_view field) {
  if (field == "metadata.name" || field == "metadata.namespace") return true;
  return std::find(kind.selectable_fields.begin(), kind.selectable_fields.end(), field) != kind.selectable_fields.end();
}

// What a field is when the object leaves it out: Go's zero value in its text form.
std::string_view absent_text(std::string_view field) {
  if (field == "spec.hostNetwork" || field == "spec.unschedulable") return "false";
  if (field == "status.replicas" || field == "status.successful") return "0";
  return "";
}

const Json* value_at(const Json& object, std::string_view path) {
  const Json* value = &object;
  while (value != nullptr && !path.empty()) {
    size_t dot = std::min(path.find('.'), path.size());
    value = detail::step(value, path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string text_of(const Json* value, std::string_view absent) {
  if (value == nullptr || value->is_object() || value->is_array()) return std::string(absent);
  if (value->is_string()) return std::string(value->get_string());
  return to_text(*value);
}

std::string field_value(const Json& object, std::string_view field) {
  // Core events (registry/core/event): the source is the component, or who reports.
  if (field == "source") {
    std::string_view component = str(object, "source", "component");
    return std::string(component.empty() ? str(object, "reportingComponent") : component);
  }
  if (field == "status.successful") return text_of(find(object, "status", "succeeded"), "0");
  return text_of(value_at(object, field), absent_text(field));
}

}  // namespace

Result<FieldSelector> FieldSelector::parse(std::string_view text, const Kind& kind) {
  if (text.size() > kMaxSelectorBytes) return fail(Code::kBadRequest, "field selector of {} bytes is too long", text.size());
  FieldSelector out;
  for (std::string_view term : split_terms(text)) {
    if (term.empty()) continue;
    Requirement requirement;
    size_t at = term.find_first_of("=!");
    while (at != std::string_view::npos && term[at] == '!' && !term.substr(at).starts_with("!="))
      at = term.find_first_of("=!", at + 1);
    if (at == std::string_view::npos)
      return fail(Code::kBadRequest, "invalid selector: '{}'; can't understand '{}'", text, term);
    requirement.equal = term[at] == '=';
    size_t length = term[at] == '!' || term.substr(at).starts_with("==") ? 2 : 1;
    requirement.field = std::string(term.substr(0, at));
    Result<std::string> value = unescape(term.substr(at + length));
    if (!value) return fail(value.error());
    requirement.value = std::move(*value);
    if (!can_select(kind, requirement.field)) {
      if (kind.selectable_fields.empty())
        return fail(Code::kBadRequest, "\"{}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                    requirement.field);
      return fail(Code::kBadRequest, "field label not supported: {}", requirement.field);
    }
    out.requirements_.push_back(std::move(requirement));
  }
  return out;
}

bool FieldSelector::matches(const Json& object) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& requirement) {
    return (field_value(object, requirement.field) == requirement.value) == requirement.equal;
  });
}

const std::string* FieldSelector::required(std::string_view field) const {
  for (const Requirement& requirement : requirements_)
    if (requirement.equal && requirement.field == field) return &requirement.value;
  return nullptr;
}

}  // namespace rs::api
