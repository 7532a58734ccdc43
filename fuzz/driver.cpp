// Runs a fuzz target without libFuzzer: its corpus files, if any, then mutations of them and of noise, for a fixed count.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {
constexpr int kRuns = 2000;

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

std::string mutate(std::string input, rs::Random& random) {
  for (uint64_t i = 0, count = 1 + random.below(4); i < count; ++i) {
    size_t at = random.below(input.size() + 1);
    switch (random.below(4)) {
      case 0: input.insert(at, 1, static_cast<char>(random.next())); break;
      case 1: input.insert(at, input.substr(random.below(input.size() + 1), random.below(32))); break;
      case 2: input.erase(at, random.below(16)); break;
      default:
        if (at < input.size()) input[at] = static_cast<char>(random.next());
    }
  }
  return input;
}
}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> corpus{"", "{\"a\":[1,null,\"x\"]}", "a: [1, 2]\nb: {c: d}\n"};
  if (argc > 1 && std::filesystem::is_directory(argv[1])) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
      std::ifstream in(entry.path(), std::ios::binary);
      corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  }
  for (const auto& input : corpus) run(input);
  rs::Random random(1);
  for (int i = 0; i < kRuns; ++i) run(mutate(corpus[random.below(corpus.size())], random));
  return 0;
}
