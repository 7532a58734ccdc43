// Scripts of commands with their expected answers (testdata/*.txt): "command", "----", the answer, an empty line.
// RS_REWRITE=1 (in src/store) writes what the machine answers now, to be read in the diff. Expected: reference etcd-api.md A.4 to A.7.
#include <gtest/gtest.h>

#include "store/mvcc/machine_testing.h"
#include "store/mvcc/validate.h"

namespace rs::store::mvcc {
namespace {

using Words = std::vector<std::string>;

Words split(const std::string& line) {
  std::istringstream in(line);
  Words words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::string show(const KeyValue& kv) {
  return fmt::format("{}={} create={} mod={} version={}{}", kv.key, kv.value, kv.create_revision, kv.mod_revision,
                     kv.version, kv.lease != 0 ? fmt::format(" lease={}", kv.lease) : "");
}

// "key[..end]": end "*" is none; "\0" cannot be typed.
void read_range(const std::string& word, std::string& key, std::string& end) {
  auto dots = word.find("..");
  key = word.substr(0, dots);
  if (dots == std::string::npos) return;
  end = word.substr(dots + 2);
  if (end == "*") end = std::string(kNoEnd);
}

int64_t option(const Words& words, std::string_view name, int64_t otherwise = 0) {
  for (const std::string& word : words) {
    if (word.starts_with(name) && word.size() > name.size() && word[name.size()] == '=')
      return std::stoll(word.substr(name.size() + 1));
    if (word == name) return 1;
  }
  return otherwise;
}

Op parse_op(const Words& words) {
  if (words.at(0) == "put") {
    PutRequest put{.key = words.at(1) == "''" ? "" : words.at(1), .value = words.size() > 2 ? words[2] : ""};
    if (put.value == "-") put.value.clear();
    put.lease = option(words, "lease");
    put.prev_kv = option(words, "prev") != 0;
    put.ignore_value = option(words, "ignore_value") != 0;
    put.ignore_lease = option(words, "ignore_lease") != 0;
    return put;
  }
  if (words[0] == "del") {
    DeleteRangeRequest del;
    read_range(words.at(1), del.key, del.range_end);
    del.prev_kv = option(words, "prev") != 0;
    return del;
  }
  RangeRequest range;
  read_range(words.at(1), range.key, range.range_end);
  range.revision = option(words, "rev");
  range.limit = option(words, "limit");
  range.keys_only = option(words, "keys_only") != 0;
  range.count_only = option(words, "count_only") != 0;
  range.order = RangeRequest::Order(option(words, "order"));
  range.target = RangeRequest::Target(option(words, "target"));
  range.min_mod_revision = option(words, "min_mod");
  range.max_create_revision = option(words, "max_create");
  return range;
}

// "ver a = 1", "create a > 0", "mod a..c ! 3", "value a = x", "lease a = 0"
Compare parse_compare(const Words& words) {
  Compare compare;
  static const std::map<std::string, Compare::Target> kTargets = {{"ver", Compare::Target::kVersion},
                                                                  {"create", Compare::Target::kCreate},
                                                                  {"mod", Compare::Target::kMod},
                                                                  {"value", Compare::Target::kValue},
                                                                  {"lease", Compare::Target::kLease}};
  compare.target = kTargets.at(words.at(0));
  read_range(words.at(1), compare.key, compare.range_end);
  compare.result = Compare::Result(std::string("=><!").find(words.at(2)));
  if (compare.target == Compare::Target::kValue) {
    compare.value = words.at(3);
  } else {
    compare.number = std::stoll(words.at(3));
  }
  return compare;
}

class Script {
 public:
  std::string run(const std::string& command) {
    Words words = split(command);
    if (words.at(0) == "txn") return run_txn(words);
    if (words[0] == "put" || words[0] == "del" || words[0] == "get") {
      std::string out = run_op(parse_op(words));
      test_.settle();
      return out;
    }
    if (words[0] == "compact") return run_compact(std::stoll(words.at(1)));
    if (words[0] == "grant") {
      auto grant = test_.machine.grant(std::stoll(words.at(1)), std::stoll(words.at(2)), {}, test_.batch);
      test_.settle();
      return grant ? fmt::format("lease {} ttl {}\n", grant->id, grant->ttl_seconds) : grant.error().message + "\n";
    }
    if (words[0] == "revoke") {
      auto revoked = test_.machine.revoke(std::stoll(words.at(1)), test_.batch);
      test_.settle();
      return revoked ? fmt::format("rev {}\n", test_.machine.durable()) : revoked.error().message + "\n";
    }
    if (words[0] == "history") return run_history(words);
    return "unknown command\n";
  }

 private:
  static std::string show(const OpResponse& response) {
    if (auto* range = std::get_if<RangeResponse>(&response)) {
      std::string out = fmt::format("range rev {} count {}{}\n", range->revision, range->count, range->more ? " more" : "");
      for (const KeyValue& kv : range->kvs) out += "  " + mvcc::show(kv) + "\n";
      return out;
    }
    if (auto* put = std::get_if<PutResponse>(&response))
      return fmt::format("put rev {}{}\n", put->revision, put->prev_kv ? " prev " + mvcc::show(*put->prev_kv) : "");
    auto& del = std::get<DeleteRangeResponse>(response);
    std::string out = fmt::format("deleted {} rev {}\n", del.deleted, del.revision);
    for (const KeyValue& kv : del.prev_kvs) out += "  " + mvcc::show(kv) + "\n";
    return out;
  }
  template <class T>
  static std::string answer(const Result<T>& result) {
    return result ? show(OpResponse(*result)) : result.error().message + "\n";
  }
  std::string run_op(const Op& op) {
    if (auto* put = std::get_if<PutRequest>(&op)) {
      if (auto checked = check(*put); !checked) return checked.error().message + "\n";
      return answer(test_.machine.put(*put, test_.batch));
    }
    if (auto* del = std::get_if<DeleteRangeRequest>(&op)) return answer(test_.machine.delete_range(*del, test_.batch));
    return answer(test_.machine.range(std::get<RangeRequest>(op)));
  }
  // txn if COMPARE & COMPARE then OP ; OP else OP
  std::string run_txn(const Words& words) {
    TxnRequest txn;
    Words part;
    std::string mode = "if";
    auto finish = [&] {
      if (part.empty()) return;
      if (mode == "if") txn.compares.push_back(parse_compare(part));
      if (mode == "then") txn.success.push_back(parse_op(part));
      if (mode == "else") txn.failure.push_back(parse_op(part));
      part.clear();
    };
    for (size_t i = 1; i < words.size(); ++i) {
      if (words[i] == "if" || words[i] == "then" || words[i] == "else") {
        finish();
        mode = words[i];
      } else if (words[i] == ";" || words[i] == "&") {
        finish();
      } else {
        part.push_back(words[i]);
      }
    }
    finish();
    if (auto checked = check(txn); !checked) return checked.error().message + "\n";
    auto done = test_.machine.txn(txn, test_.batch);
    test_.settle();
    if (!done) return done.error().message + "\n";
    std::string out = fmt::format("{} rev {}\n", done->succeeded ? "succeeded" : "failed", done->revision);
    for (const OpResponse& response : done->responses) out += show(response);
    return out;
  }
  std::string run_compact(Revision revision) {
    auto compacted = test_.machine.compact(revision, test_.batch);
    if (!compacted) return compacted.error().message + "\n";
    test_.compact_to_end(10, 4);
    return fmt::format("ok, {} keys, {} bytes\n", test_.machine.index().keys(), test_.machine.live_bytes());
  }
  std::string run_history(const Words& words) {
    std::string key, end;
    read_range(words.at(2), key, end);
    auto slice = test_.machine.read_history(std::stoll(words.at(1)), {key, end}, 1000, 1000);
    if (!slice) return slice.error().message + "\n";
    std::string out = fmt::format("next {}\n", slice->next);
    for (Commit& commit : slice->commits) {
      for (EventSlot& slot : commit.slots) {
        const Event& event = *test_.machine.with_previous(slot);
        out += fmt::format("  {} {}", event.type == Event::Type::kPut ? "PUT" : "DELETE", mvcc::show(event.kv));
        out += event.prev_kv ? " prev " + mvcc::show(*event.prev_kv) + "\n" : "\n";
      }
    }
    return out;
  }

  TestMachine test_{0};
};

class MachineScriptTest : public ::testing::TestWithParam<std::string> {};

TEST_P(MachineScriptTest, AnswersAsWritten) {
  auto path = std::filesystem::path("mvcc/testdata") / GetParam();  // ctest runs in the folder of the room
  std::ifstream in(path);
  ASSERT_TRUE(in.is_open()) << path;
  Script script;
  std::string line, expected_file, actual_file;
  while (std::getline(in, line)) {
    expected_file += line + "\n";
    actual_file += line + "\n";
    if (line.empty() || line[0] == '#') continue;
    std::string command = line, expected;
    ASSERT_TRUE(std::getline(in, line) && line == "----") << "after: " << command;
    while (std::getline(in, line) && !line.empty()) expected += line + "\n";
    std::string actual = script.run(command);
    expected_file += "----\n" + expected + "\n";
    actual_file += "----\n" + actual + "\n";
    EXPECT_EQ(actual, expected) << command;
  }
  if (std::getenv("RS_REWRITE") != nullptr && actual_file != expected_file) std::ofstream(path) << actual_file;
}

INSTANTIATE_TEST_SUITE_P(Scripts, MachineScriptTest, ::testing::Values("kv.txt", "txn.txt", "compaction.txt", "lease.txt", "etcd_details.txt"),
                         [](const auto& info) { return info.param.substr(0, info.param.find('.')); });

}  // namespace
}  // namespace rs::store::mvcc
