#include "api/selector.h"

#include <charconv>

#include "api/validation_names.h"

namespace rs::api {
namespace {

using Operator = LabelSelector::Operator;
using Requirement = LabelSelector::Requirement;

constexpr size_t kMaxSelectorBytes = 64 * 1024;
constexpr size_t kMaxRequirements = 4096;
constexpr std::string_view kBinaryOperators = "in, notin, =, ==, !=, gt, lt";

// Tokens of apimachinery labels/selector.go. A keyword counts as an identifier where values are expected.
enum class Token { kEnd, kError, kIdentifier, kIn, kNotIn, kComma, kNot, kEquals, kDoubleEquals, kNotEquals, kGreater, kLess,
                   kOpen, kClose };

struct Scanned {
  Token token = Token::kEnd;
  std::string literal;
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_symbol(char c) { return std::string_view("=!(),><").find(c) != std::string_view::npos; }

std::optional<Token> symbol_token(std::string_view text) {
  static constexpr std::pair<std::string_view, Token> kSymbols[] = {
      {")", Token::kClose}, {",", Token::kComma},  {"!", Token::kNot},  {"==", Token::kDoubleEquals},  {"=", Token::kEquals},
      {">", Token::kGreater}, {"<", Token::kLess}, {"!=", Token::kNotEquals}, {"(", Token::kOpen}};
  for (const auto& [symbol, token] : kSymbols)
    if (symbol == text) return token;
  return std::nullopt;
}

std::vector<Scanned> scan(std::string_view text) {
  std::vector<Scanned> out;
  for (size_t at = 0; at < text.size();) {
    if (is_space(text[at])) {
      ++at;
      continue;
    }
    size_t begin = at;
    if (is_symbol(text[at])) {
      // The longest run of symbol characters that is a token; "!x" is two tokens, "!=" one.
      Scanned found{Token::kError, ""};
      for (size_t length = 1; begin + length <= text.size() && is_symbol(text[begin + length - 1]); ++length) {
        std::optional<Token> token = symbol_token(text.substr(begin, length));
        if (!token) break;
        found = {*token, std::string(text.substr(begin, length))};
        at = begin + length;
      }
      out.push_back(std::move(found));
      continue;
    }
    while (at < text.size() && !is_space(text[at]) && !is_symbol(text[at])) ++at;
    std::string word(text.substr(begin, at - begin));
    Token token = word == "in" ? Token::kIn : word == "notin" ? Token::kNotIn : Token::kIdentifier;
    out.push_back({token, std::move(word)});
  }
  out.push_back({Token::kEnd, ""});
  return out;
}

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// labels.NewRequirement: the rules of keys and values; empty when they hold.
std::string requirement_error(const Requirement& requirement) {
  if (auto messages = names::qualified_name(requirement.key); !messages.empty())
    return fmt::format("key: Invalid value: \"{}\": {}", requirement.key, names::join(messages));
  const auto& values = requirement.values;
  switch (requirement.op) {
    case Operator::kIn:
    case Operator::kNotIn:
      if (values.empty())
        return "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty";
      break;
    case Operator::kExists:
    case Operator::kDoesNotExist:
      if (!values.empty())
        return fmt::format("values: Invalid value: [{}]: values set must be empty for exists and does not exist",
                           fmt::join(values, " "));
      break;
    case Operator::kGreaterThan:
    case Operator::kLessThan:
      if (values.size() != 1)
        return fmt::format("values: Invalid value: [{}]: for 'Gt', 'Lt' operators, exactly one value is required",
                           fmt::join(values, " "));
      if (!parse_integer(values[0]))
        return fmt::format(
            "values[0]: Invalid value: \"{}\": for 'Gt', 'Lt' operators, the value must be an integer", values[0]);
      break;
  }
  for (size_t i = 0; i < values.size(); ++i)
    if (auto messages = names::label_value(values[i]); !messages.empty())
      return fmt::format("values[{}][{}]: Invalid value: \"{}\": {}", i, requirement.key, values[i], names::join(messages));
  return "";
}

void sort_unique(std::vector<std::string>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

// The grammar of labels.Parse, with its error texts.
class Parser {
 public:
  explicit Parser(std::string_view text) : tokens_(scan(text)) {}

  Result<std::vector<Requirement>> parse() {
    std::vector<Requirement> out;
    while (true) {
      Scanned next = peek();
      if (next.token == Token::kEnd) return out;
      if (next.token != Token::kIdentifier && next.token != Token::kNot)
        return fail(Code::kBadRequest, "found '{}', expected: !, identifier, or 'end of string'", next.literal);
      Result<Requirement> requirement = parse_requirement();
      if (!requirement)
        return fail(Code::kBadRequest, "unable to parse requirement: {}", requirement.error().message);
      out.push_back(std::move(*requirement));
      if (out.size() > kMaxRequirements) return fail(Code::kBadRequest, "more than {} requirements", kMaxRequirements);
      Scanned separator = take();
      if (separator.token == Token::kEnd) return out;
      if (separator.token != Token::kComma)
        return fail(Code::kBadRequest, "found '{}', expected: ',' or 'end of string'", separator.literal);
      Scanned following = peek();
      if (following.token != Token::kIdentifier && following.token != Token::kNot)
        return fail(Code::kBadRequest, "found '{}', expected: identifier after ','", following.literal);
    }
  }

 private:
  // As seen where values may stand: keywords are identifiers.
  Scanned peek() const {
    Scanned out = tokens_[at_];
    if (out.token == Token::kIn || out.token == Token::kNotIn) out.token = Token::kIdentifier;
    return out;
  }
  Scanned take() {
    Scanned out = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return out;
  }

  Result<Requirement> parse_requirement() {
    Requirement out;
    Scanned key = take();
    bool negated = key.token == Token::kNot;
    if (negated) key = take();
    if (key.token != Token::kIdentifier) return fail(Code::kBadRequest, "found '{}', expected: identifier", key.literal);
    if (auto messages = names::qualified_name(key.literal); !messages.empty())
      return fail(Code::kBadRequest, "<nil>: Invalid value: \"{}\": {}", key.literal, names::join(messages));
    out.key = key.literal;
    Token next = peek().token;
    if (negated || next == Token::kEnd || next == Token::kComma) {
      out.op = negated ? Operator::kDoesNotExist : Operator::kExists;
      return out;
    }
    Scanned op = tokens_[at_];
    take();
    bool set = false;
    switch (op.token) {
      case Token::kIn: out.op = Operator::kIn, set = true; break;
      case Token::kNotIn: out.op = Operator::kNotIn, set = true; break;
      case Token::kEquals:
      case Token::kDoubleEquals: out.op = Operator::kIn; break;
      case Token::kNotEquals: out.op = Operator::kNotIn; break;
      case Token::kGreater: out.op = Operator::kGreaterThan; break;
      case Token::kLess: out.op = Operator::kLessThan; break;
      default: return fail(Code::kBadRequest, "found '{}', expected: {}", op.literal, kBinaryOperators);
    }
    Result<std::vector<std::string>> values = set ? parse_values() : parse_exact_value();
    if (!values) return fail(values.error());
    out.values = std::move(*values);
    sort_unique(out.values);
    if (std::string error = requirement_error(out); !error.empty()) return fail(Code::kBadRequest, "{}", error);
    return out;
  }

  Result<std::vector<std::string>> parse_values() {
    Scanned open = take();
    if (open.token != Token::kOpen) return fail(Code::kBadRequest, "found '{}' expected: '('", open.literal);
    Scanned first = peek();
    if (first.token == Token::kClose) {
      take();
      return std::vector<std::string>{};
    }
    if (first.token != Token::kIdentifier && first.token != Token::kComma)
      return fail(Code::kBadRequest, "found '{}', expected: ',', ')' or identifier", first.literal);
    // "(a,,b)", "(,a)" and "(a,)" contain the empty value.
    std::vector<std::string> values;
    while (true) {
      Scanned item = peek();
      if (item.token == Token::kIdentifier) {
        values.push_back(take().literal);
      } else if (item.token == Token::kComma || item.token == Token::kClose) {
        values.emplace_back();
      } else {
        return fail(Code::kBadRequest, "found '{}', expected: ',', or identifier", item.literal);
      }
      Scanned separator = take();
      if (separator.token == Token::kClose) return values;
      if (separator.token != Token::kComma)
        return fail(Code::kBadRequest, "found '{}', expected: ',' or ')'", separator.literal);
    }
  }

  Result<std::vector<std::string>> parse_exact_value() {
    Token next = peek().token;
    if (next == Token::kEnd || next == Token::kComma) return std::vector<std::string>{""};
    Scanned value = take();
    if (value.token != Token::kIdentifier) return fail(Code::kBadRequest, "found '{}', expected: identifier", value.literal);
    return std::vector<std::string>{value.literal};
  }

  std::vector<Scanned> tokens_;
  size_t at_ = 0;
};

bool meets(const Requirement& requirement, const JsonObject& labels) {
  const Json* found = labels.if_contains(requirement.key);
  bool present = found != nullptr && !found->is_null();
  std::string_view value = present && found->is_string() ? std::string_view(found->get_string()) : std::string_view();
  auto listed = [&] { return std::find(requirement.values.begin(), requirement.values.end(), value) != requirement.values.end(); };
  switch (requirement.op) {
    case Operator::kIn: return present && listed();
    case Operator::kNotIn: return !present || !listed();
    case Operator::kExists: return present;
    case Operator::kDoesNotExist: return !present;
    case Operator::kGreaterThan:
    case Operator::kLessThan: {
      std::optional<int64_t> have = present ? parse_integer(value) : std::nullopt;
      std::optional<int64_t> limit = requirement.values.empty() ? std::nullopt : parse_integer(requirement.values[0]);
      if (!have || !limit) return false;
      return requirement.op == Operator::kGreaterThan ? *have > *limit : *have < *limit;
    }
  }
  return false;
}

void sort_by_key(std::vector<Requirement>& requirements) {
  std::sort(requirements.begin(), requirements.end(), [](const Requirement& a, const Requirement& b) {
    return std::tie(a.key, a.op, a.values) < std::tie(b.key, b.op, b.values);
  });
}

}  // namespace

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  if (text.size() > kMaxSelectorBytes) return fail(Code::kBadRequest, "label selector of {} bytes is too long", text.size());
  Result<std::vector<Requirement>> requirements = Parser(text).parse();
  if (!requirements) return fail(requirements.error());
  LabelSelector out;
  out.requirements_ = std::move(*requirements);
  sort_by_key(out.requirements_);
  return out;
}

Result<LabelSelector> LabelSelector::from_json(const Json* selector) {
  LabelSelector out;
  if (selector == nullptr || selector->is_null()) {
    out.nothing_ = true;
    return out;
  }
  for (const auto& [key, value] : object(*selector, "matchLabels")) {
    Requirement requirement{std::string(key), Operator::kIn, {value.is_string() ? std::string(value.get_string()) : ""}};
    if (std::string error = requirement_error(requirement); !error.empty()) return fail(Code::kInvalid, "{}", error);
    out.requirements_.push_back(std::move(requirement));
  }
  for (const Json& expression : array(*selector, "matchExpressions")) {
    Requirement requirement{std::string(str(expression, "key")), Operator::kIn, {}};
    std::string_view op = str(expression, "operator");
    if (op == "In") requirement.op = Operator::kIn;
    else if (op == "NotIn") requirement.op = Operator::kNotIn;
    else if (op == "Exists") requirement.op = Operator::kExists;
    else if (op == "DoesNotExist") requirement.op = Operator::kDoesNotExist;
    else return fail(Code::kInvalid, "\"{}\" is not a valid label selector operator", op);
    for (const Json& value : array(expression, "values"))
      requirement.values.emplace_back(value.is_string() ? std::string_view(value.get_string()) : "");
    sort_unique(requirement.values);
    if (std::string error = requirement_error(requirement); !error.empty()) return fail(Code::kInvalid, "{}", error);
    out.requirements_.push_back(std::move(requirement));
  }
  sort_by_key(out.requirements_);
  return out;
}

LabelSelector LabelSelector::from_labels(const JsonObject& labels) {
  LabelSelector out;
  for (const auto& [key, value] : labels)
    out.requirements_.push_back(
        {std::string(key), Operator::kIn, {value.is_string() ? std::string(value.get_string()) : ""}});
  sort_by_key(out.requirements_);
  return out;
}

bool LabelSelector::matches(const JsonObject& labels) const {
  if (nothing_) return false;
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& requirement) { return meets(requirement, labels); });
}

bool LabelSelector::matches_object(const Json& object) const { return matches(rs::object(object, "metadata", "labels")); }

std::string LabelSelector::text() const {
  std::string out;
  for (const Requirement& requirement : requirements_) {
    if (!out.empty()) out += ',';
    const auto& values = requirement.values;
    switch (requirement.op) {
      case Operator::kExists: out += requirement.key; break;
      case Operator::kDoesNotExist: out += "!" + requirement.key; break;
      case Operator::kGreaterThan: out += requirement.key + ">" + values[0]; break;
      case Operator::kLessThan: out += requirement.key + "<" + values[0]; break;
      case Operator::kIn:
      case Operator::kNotIn: {
        bool in = requirement.op == Operator::kIn;
        if (values.size() == 1) out += requirement.key + (in ? "=" : "!=") + values[0];
        else out += fmt::format("{} {} ({})", requirement.key, in ? "in" : "notin", fmt::join(values, ","));
      }
    }
  }
  return out;
}

}  // namespace rs::api
