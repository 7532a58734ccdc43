#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace rs {

void assert_failed(const char* condition, const char* file, int line, const char* reason) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s%s%s\n", file, line, condition, *reason ? ": " : "", reason);
  std::fflush(stderr);
  std::abort();
}

}  // namespace rs
