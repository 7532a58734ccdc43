// Every object of kubernetes/api testdata/HEAD, one filled-in object a kind as JSON and as protobuf: both must decode to
// the same value, and ours encoded again must be the same protobuf. The files are not part of the project; where they
// are absent (ROADSTEAD_TEST_DATA, ../shared/data) the test says so and skips.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "api/codec.h"
#include "api/codec/normaliser.h"
#include "api/schema.h"

namespace rs::api {
namespace {

namespace fs = std::filesystem;

fs::path data_folder() {
  std::vector<fs::path> candidates;
  if (const char* set = std::getenv("ROADSTEAD_TEST_DATA")) candidates.push_back(set);
  // From the source folder upwards: a checkout and its worktrees have shared/ beside them or above.
  for (fs::path at = fs::absolute(fs::path(__FILE__)).parent_path(); at.has_relative_path(); at = at.parent_path())
    candidates.push_back(at / "shared/data");
  for (fs::path at = fs::current_path(); at.has_relative_path(); at = at.parent_path())
    candidates.push_back(at / "shared/data");
  for (const fs::path& candidate : candidates)
    if (fs::is_directory(candidate / "kubernetes-api")) return candidate / "kubernetes-api";
  return {};
}

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

struct Seen {
  int covered = 0, not_in_table = 0, same_bytes = 0;
  std::vector<std::string> other_bytes;
};

void compare(const fs::path& json_file, Seen& seen) {
  SCOPED_TRACE(json_file.filename().string());
  auto tree = parse_json(contents(json_file));
  ASSERT_TRUE(tree) << to_string(tree.error());
  const TypeInfo* type = find_type(str(*tree, "apiVersion"), str(*tree, "kind"));
  if (type == nullptr) {
    ++seen.not_in_table;
    return;
  }
  ++seen.covered;
  Normaliser normaliser;
  ASSERT_TRUE(normaliser.run(tree->get_object(), *type)) << normaliser.wrong_type();
  EXPECT_EQ(fmt::format("{}", fmt::join(normaliser.strict_errors(), ", ")), "");
  std::string protobuf = contents(fs::path(json_file).replace_extension(".pb"));
  auto decoded = decode_protobuf(protobuf);
  ASSERT_TRUE(decoded) << to_string(decoded.error());
  EXPECT_EQ(encode_canonical(*decoded), encode_canonical(*tree));
  auto encoded = encode_protobuf(*tree);
  ASSERT_TRUE(encoded) << to_string(encoded.error());
  if (*encoded == protobuf) ++seen.same_bytes;
  else seen.other_bytes.push_back(json_file.stem().string());
  auto again = decode_protobuf(*encoded);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, *decoded);
  auto yaml = parse_yaml(to_yaml(*decoded));
  ASSERT_TRUE(yaml) << to_string(yaml.error());
  EXPECT_EQ(*yaml, *decoded);
}

TEST(KubernetesObjects, AreTheSameAsJsonAndAsProtobuf) {
  fs::path folder = data_folder();
  if (folder.empty()) GTEST_SKIP() << "no kubernetes-api folder (set ROADSTEAD_TEST_DATA to the folder above it)";
  Seen seen;
  for (const auto& file : fs::directory_iterator(folder))
    if (file.path().extension() == ".json") compare(file.path(), seen);
  fmt::print("{} objects covered, {} of groups or versions that are not in the table, {} byte for byte the same; others: {}\n",
             seen.covered, seen.not_in_table, seen.same_bytes, fmt::join(seen.other_bytes, " "));
  EXPECT_EQ(seen.covered, 81);
  EXPECT_EQ(seen.same_bytes, seen.covered);
  EXPECT_EQ(seen.not_in_table, 90);  // alpha and beta versions, extensions/v1beta1, imagepolicy, resource
}

}  // namespace
}  // namespace rs::api
