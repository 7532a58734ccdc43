// Server-side apply by text scripts: testdata/apply*.txt. A step is a line
//   apply <manager> [force] [status]      an apply configuration follows
//   update <manager> [status]             the whole object as it is to be; managedFields may be left out
//   new <group/version> <kind>            starts over with no object
// then JSON up to a line "----", then what is expected: the error, or the object and who owns what. Run with
// ROADSTEAD_REWRITE=1 to write down what happens now, and read the difference.
#include "api/apply.h"

#include <gtest/gtest.h>

namespace rs::api {
namespace {

struct Step {
  std::vector<std::string> words;
  std::string input, expected, comment;
};

std::vector<Step> read_script(const std::string& path) {
  std::ifstream file(path);
  std::vector<Step> steps;
  std::string line, comment;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') {
      comment += line + "\n";
      continue;
    }
    Step step;
    step.comment = std::exchange(comment, "");
    std::istringstream words(line);
    for (std::string word; words >> word;) step.words.push_back(word);
    while (std::getline(file, line) && line != "----") step.input += line + "\n";
    while (std::getline(file, line) && !line.empty()) step.expected += line + "\n";
    comment = "\n";
    steps.push_back(std::move(step));
  }
  return steps;
}

std::string show(const Json& object) {
  Json bare = object;
  if (find(bare, "metadata") != nullptr) erase(bare, "managedFields", "metadata");
  std::string out = to_text(bare) + "\n";
  for (const Json& entry : array(object, "metadata", "managedFields")) {
    std::string_view part = str(entry, "subresource");
    out += fmt::format("{} {}{}{} {} {}\n", str(entry, "operation"), str(entry, "manager"), part.empty() ? "" : "/", part,
                       str(entry, "time").substr(17, 2), to_text(*find(entry, "fieldsV1")));
  }
  return out;
}

class Player {
 public:
  std::string play(const Step& step) {
    ++second_;
    auto has = [&](std::string_view word) { return std::find(step.words.begin(), step.words.end(), word) != step.words.end(); };
    if (step.words[0] == "new") {
      size_t slash = step.words[1].find('/');
      std::string group = slash == std::string::npos ? "" : step.words[1].substr(0, slash);
      kind_ = builtin_kinds().by_kind(group, step.words[1].substr(slash + 1), step.words[2]);
      live_.reset();
      return "";
    }
    Json input = parse_json(step.input).value();
    ApplyOptions options{step.words[1], has("force"), has("status") ? "status" : "", WallTime{std::chrono::seconds(second_)}};
    if (step.words[0] == "apply") {
      Result<Json> outcome = server_side_apply(*kind_, live_ ? &*live_ : nullptr, input, options);
      if (!outcome) {
        std::string out = fmt::format("{}: {}\n", to_string(outcome.error().code), outcome.error().message);
        if (outcome.error().details != nullptr)
          for (const auto& cause : outcome.error().details->causes)
            out += fmt::format("cause {} {} {}\n", cause.reason, cause.message, cause.field);
        return out;
      }
      live_ = std::move(*outcome);
    } else {
      track_update(*kind_, live_ ? &*live_ : nullptr, input, options);
      live_ = std::move(input);
    }
    return show(*live_);
  }

 private:
  const Kind* kind_ = nullptr;
  std::optional<Json> live_;
  int second_ = 0;
};

void run_script(const std::string& path) {
  std::vector<Step> steps = read_script(path);
  ASSERT_FALSE(steps.empty()) << path;
  bool rewrite = std::getenv("ROADSTEAD_REWRITE") != nullptr;
  std::string written;
  Player player;
  for (const Step& step : steps) {
    std::string outcome = player.play(step);
    written += fmt::format("{}{}\n{}----\n{}", step.comment, fmt::join(step.words, " "), step.input, outcome);
    if (!rewrite) EXPECT_EQ(outcome, step.expected) << path << ": " << fmt::format("{}", fmt::join(step.words, " ")) << "\n" << step.input;
  }
  if (rewrite) std::ofstream(path) << written;
}

TEST(Apply, FollowsTheScripts) {
  for (const char* path : {"testdata/apply.txt", "testdata/apply_lists.txt", "testdata/apply_updates.txt"}) run_script(path);
}

}  // namespace
}  // namespace rs::api
