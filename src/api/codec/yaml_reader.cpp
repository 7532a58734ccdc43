#include "api/codec/yaml_reader.h"

#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "api/codec.h"
#include "api/codec/json_reader.h"

namespace rs::api {
namespace {

constexpr size_t kDepthMax = 256;
constexpr size_t kBytesMax = 8u << 20;

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

// yaml.v2's resolve(): base 0 integers with underscores ("0x1F", "0b11", "0o17", and "017" as octal).
std::optional<Json> integer(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    char mark = text[1];
    base = mark == 'x' || mark == 'X' ? 16 : mark == 'b' || mark == 'B' ? 2 : 8;
    text.remove_prefix(base == 8 && mark != 'o' && mark != 'O' ? 1 : 2);
  }
  uint64_t magnitude = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  constexpr uint64_t kLimit = uint64_t(1) << 63;
  if (negative) {
    if (magnitude > kLimit) return std::nullopt;
    return Json(static_cast<int64_t>(0 - magnitude));
  }
  if (magnitude < kLimit) return Json(static_cast<int64_t>(magnitude));
  return Json(magnitude);
}

// ^[-+]?[0-9]*\.?[0-9]+([eE][-+][0-9]+)?$ and, when it starts with a dot, whatever is a decimal number.
std::optional<Json> real(std::string_view text) {
  std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  bool any = false;
  for (char c : digits) {
    if (c >= '0' && c <= '9') any = true;
    else if (c != '.' && c != 'e' && c != 'E' && c != '-' && c != '+') return std::nullopt;
  }
  double number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (!any || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return Json(number);
}

Json plain_scalar(const std::string& text) {
  if (text.empty() || one_of(text, {"~", "null", "Null", "NULL"})) return nullptr;
  if (one_of(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) return true;
  if (one_of(text, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) return false;
  char first = text[0];
  if (first == '.' || first == '-' || first == '+' || (first >= '0' && first <= '9')) {
    std::string compact;
    for (char c : text)
      if (c != '_') compact += c;
    if (auto number = integer(compact)) return *number;
    if (auto number = real(compact)) return *number;
  }
  return Json(is_valid_utf8(text) ? text : valid_utf8(text));
}

// Builds the trees from yaml-cpp's events. Refusals leave by exception, caught in read_yaml.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(std::vector<YamlDuplicate>* duplicates) : duplicates_(duplicates) {}
  std::vector<Json> documents;

  void OnDocumentStart(const YAML::Mark&) override { anchors_.clear(); }
  void OnDocumentEnd() override {
    if (!root_done_) documents.emplace_back(nullptr);
    root_done_ = false;
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, anchor, nullptr); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw YAML::ParserException(mark, "an anchor refers to what contains it");
    count_ += found->second.second;
    add(mark, YAML::NullAnchor, found->second.first);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    if (tag == "?" || tag.empty()) return add(mark, anchor, plain_scalar(value));
    if (tag == "tag:yaml.org,2002:int" || tag == "tag:yaml.org,2002:float" || tag == "tag:yaml.org,2002:bool" ||
        tag == "tag:yaml.org,2002:null")
      return add(mark, anchor, plain_scalar(value));
    add(mark, anchor, Json(is_valid_utf8(value) ? value : valid_utf8(value)));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, JsonArray());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, JsonObject());
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    Json value;
    YAML::anchor_t anchor = YAML::NullAnchor;
    YAML::Mark mark;
    size_t count_before = 0;
    std::optional<std::string> key;       // of a mapping: the value is next
    std::vector<Json> merges;             // of a mapping: the values of "<<"
    bool merge_next = false;
  };

  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Json value) {
    if (stack_.size() >= kDepthMax) throw YAML::ParserException(mark, "exceeded max depth");
    stack_.push_back({std::move(value), anchor, mark, count_});
    ++count_;
  }

  void close() {
    Level level = std::move(stack_.back());
    stack_.pop_back();
    for (const Json& merged : level.merges)
      for (const auto& member : merged.get_object()) level.value.get_object().emplace(member.key(), member.value());
    size_t before = level.count_before;
    add(level.mark, level.anchor, std::move(level.value), before);
  }

  void add(const YAML::Mark& mark, YAML::anchor_t anchor, Json value) { add(mark, anchor, std::move(value), count_++); }
  void add(const YAML::Mark& mark, YAML::anchor_t anchor, Json value, size_t count_before) {
    if (count_ > kMaxValues) throw YAML::ParserException(mark, "document contains excessive aliasing or too many values");
    if (anchor != YAML::NullAnchor) {
      size_t size = count_ - count_before;
      count_ += size;  // the copy counts: anchors inside anchors would multiply otherwise
      anchors_[anchor] = {value, size};
    }
    if (stack_.empty()) {
      documents.push_back(std::move(value));
      root_done_ = true;
      return;
    }
    Level& level = stack_.back();
    if (level.value.is_array()) {
      level.value.get_array().push_back(std::move(value));
    } else if (level.merge_next) {
      level.merge_next = false;
      merge(mark, level, std::move(value));
    } else if (level.key) {
      level.value.get_object().insert_or_assign(*std::exchange(level.key, std::nullopt), std::move(value));
    } else {
      set_key(mark, level, std::move(value));
    }
  }

  static void merge(const YAML::Mark& mark, Level& level, Json value) {
    if (value.is_object()) {
      level.merges.push_back(std::move(value));
      return;
    }
    if (!value.is_array()) throw YAML::ParserException(mark, "map merge requires map or sequence of maps as the value");
    for (Json& item : value.get_array()) {
      if (!item.is_object()) throw YAML::ParserException(mark, "map merge requires map or sequence of maps as the value");
      level.merges.push_back(std::move(item));
    }
  }

  void set_key(const YAML::Mark& mark, Level& level, Json value) {
    if (value.is_null() || value.is_structured())
      throw YAML::ParserException(mark, "a mapping key must be a string, a number or a boolean");
    if (value.is_string() && value.get_string() == "<<") {
      level.merge_next = true;
      return;
    }
    std::string key = value.is_string() ? std::string(value.get_string()) : to_text(value);
    if (level.value.get_object().contains(key) && duplicates_ != nullptr && duplicates_->size() < 100)
      duplicates_->push_back({mark.line + 1, key});
    level.key = std::move(key);
  }

  std::vector<YamlDuplicate>* duplicates_;
  std::vector<Level> stack_;
  std::map<YAML::anchor_t, std::pair<Json, size_t>> anchors_;
  size_t count_ = 0;
  bool root_done_ = false;
};

}  // namespace

Result<std::vector<Json>> read_yaml(std::string_view text, size_t max_documents, std::vector<YamlDuplicate>* duplicates) {
  if (text.size() > kBytesMax)
    return fail(Code::kRequestEntityTooLarge, "Request entity too large: limit is {}", kBytesMax);
  Builder builder(duplicates);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (builder.documents.size() < max_documents && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& exception) {
    return fail(Code::kBadRequest, "yaml: line {}: {}", exception.mark.line + 1, exception.msg);
  } catch (const std::exception& exception) {
    return fail(Code::kBadRequest, "yaml: {}", exception.what());
  }
  return std::move(builder.documents);
}

std::string to_string(const YamlDuplicate& duplicate) {
  return fmt::format("line {}: key \"{}\" already set in map", duplicate.line, duplicate.key);
}

std::string to_string(const std::vector<YamlDuplicate>& duplicates) {
  std::string out = "yaml: unmarshal errors:";
  for (const YamlDuplicate& duplicate : duplicates) out += "\n  " + to_string(duplicate);
  return out;
}

Result<std::vector<Json>> parse_yaml_documents(std::string_view text) {
  std::vector<YamlDuplicate> duplicates;
  auto documents = read_yaml(text, 10'000, &duplicates);
  if (documents && !duplicates.empty()) return fail(Code::kBadRequest, "{}", to_string(duplicates));
  if (documents) std::erase_if(*documents, [](const Json& document) { return document.is_null(); });
  return documents;
}

Result<Json> parse_yaml(std::string_view text) {
  std::vector<YamlDuplicate> duplicates;
  auto documents = read_yaml(text, 1, &duplicates);
  if (!documents) return fail(documents.error());
  if (!duplicates.empty()) return fail(Code::kBadRequest, "{}", to_string(duplicates));
  return documents->empty() ? Json(nullptr) : std::move(documents->front());
}

}  // namespace rs::api
