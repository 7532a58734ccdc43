// ASSERT(condition): a broken invariant ends the process with the reason. Always on, also in release builds.
#pragma once

namespace rs {
[[noreturn]] void assert_failed(const char* condition, const char* file, int line, const char* reason);
}  // namespace rs

#define ASSERT(condition, ...)                                                                \
  do {                                                                                        \
    if (!(condition)) [[unlikely]]                                                            \
      ::rs::assert_failed(#condition, __FILE__, __LINE__, "" __VA_ARGS__);                    \
  } while (false)
