// A process that writes batches until it is killed, and tells each one that it was promised.
#pragma once

#include <cstdint>

#include "contract_engines.h"

namespace rs::store::engine {

// Batch n: "m head" = n, "i n" and "v n" (eight digits) = n, and "v n-keep" erased; keep:
// kKeptBatches.
inline constexpr uint64_t kKeptBatches = 50;
std::string numbered(char kind, uint64_t number);

// Starts this program again as the writer, kills it after count acknowledgements, and says which
// batch it was told of last. 0: it did not come so far.
uint64_t write_and_kill(Kind kind, const std::filesystem::path& directory, size_t count);

// What the program does when it is started so; nothing: it was not.
std::optional<int> run_as_writer(int argc, char** argv);

}  // namespace rs::store::engine
