#include "api/codec.h"

namespace rs::api {
namespace {

// Whether a plain scalar would be read back as this string, by YAML 1.1 and 1.2 readers alike.
bool needs_quotes(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return true;
  static constexpr std::string_view kWords[] = {
      "~",  "null", "Null", "NULL", "y",    "Y",    "yes",  "Yes",   "YES",   "true",  "True", "TRUE", "on", "On",
      "ON", "n",    "N",    "no",   "No",   "NO",   "false", "False", "FALSE", "off",  "Off",  "OFF",  "<<", "="};
  if (std::ranges::find(kWords, text) != std::end(kWords)) return true;
  if (std::string_view("0123456789.+-?:,[]{}#&*!|>'\"%@`").find(text.front()) != std::string_view::npos) {
    bool number_like = std::string_view("0123456789.+-").find(text.front()) != std::string_view::npos;
    if (!number_like) return true;
    // Addresses and durations are read as strings; anything of digits and signs only may be a number or a date.
    if (text.find_first_not_of("0123456789.+-_:eExXabcdefABCDEFoOTtZz ") == std::string_view::npos) return true;
    if (text == "-" || text.starts_with("- ") || text.starts_with("---") || text.starts_with(".")) return true;
  }
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos) return true;
  for (char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  return false;
}

void write_line(std::string& out, std::string_view text) {
  if (needs_quotes(text)) out += boost::json::serialize(boost::json::string_view(text.data(), text.size()));
  else out += text;
}

void write_scalar(std::string& out, const Json& value, size_t indent) {
  if (!value.is_string()) {
    out += to_text(value);
    return;
  }
  std::string_view text = value.get_string();
  bool lines = text.find('\n') != std::string_view::npos && text.front() != ' ' && text.front() != '\n';
  for (char c : text) lines &= static_cast<unsigned char>(c) >= 0x20 || c == '\n';
  lines &= text.find(" \n") == std::string_view::npos;
  if (!lines) {
    write_line(out, text);
    return;
  }
  bool ends = text.ends_with('\n');
  out += !ends ? "|-" : text.ends_with("\n\n") ? "|+" : "|";
  if (ends) text.remove_suffix(1);
  while (true) {
    size_t end = std::min(text.find('\n'), text.size());
    out += '\n';
    if (end > 0) out.append(indent, ' ').append(text.substr(0, end));
    if (end == text.size()) return;
    text.remove_prefix(end + 1);
  }
}

void write(std::string& out, const Json& value, size_t indent, bool in_list);

void write_object(std::string& out, const JsonObject& members, size_t indent, bool in_list) {
  std::vector<const JsonObject::value_type*> order;
  for (const auto& member : members) order.push_back(&member);
  std::ranges::sort(order, {}, [](const auto* member) { return std::string_view(member->key()); });
  bool first = in_list;
  for (const auto* member : order) {
    if (!std::exchange(first, false)) out.append(indent, ' ');
    write_line(out, member->key());
    out += ':';
    write(out, member->value(), indent, false);
  }
}

// What follows "key:" or "-", with the end of the line.
void write(std::string& out, const Json& value, size_t indent, bool in_list) {
  if (value.is_object() && !value.get_object().empty()) {
    out += in_list ? " " : "\n";
    write_object(out, value.get_object(), indent + 2, in_list);
  } else if (value.is_array() && !value.get_array().empty()) {
    out += '\n';
    // Lists stand at the indentation of their key, as kubectl writes them.
    size_t own = in_list ? indent + 2 : indent;
    for (const Json& item : value.get_array()) {
      out.append(own, ' ') += '-';
      write(out, item, own, true);
    }
  } else {
    out += ' ';
    write_scalar(out, value, indent + 2);
    out += '\n';
  }
}

}  // namespace

std::string to_yaml(const Json& value) {
  std::string out;
  if (value.is_object() && !value.get_object().empty()) {
    write_object(out, value.get_object(), 0, false);
  } else if (value.is_array() && !value.get_array().empty()) {
    for (const Json& item : value.get_array()) {
      out += '-';
      write(out, item, 0, true);
    }
  } else {
    write_scalar(out, value, 2);
    out += '\n';
  }
  return out;
}

}  // namespace rs::api
