#include "base/memory.h"

#include <mutex>

#include <mimalloc.h>

// Defined only where the program is linked with mimalloc.
#pragma weak mi_collect
#pragma weak mi_option_get
#pragma weak mi_option_set

namespace rs {
namespace {

// The allocator is one of the whole process, and so is its setting.
std::mutex mutex;
int givers = 0;
long usual_delay_ms = 0;

bool has_mimalloc() {
  return mi_collect != nullptr && mi_option_get != nullptr && mi_option_set != nullptr;
}

}  // namespace

GivesBackFreed::GivesBackFreed() {
  if (!has_mimalloc()) return;
  std::lock_guard lock(mutex);
  if (givers++ > 0) return;
  usual_delay_ms = mi_option_get(mi_option_decommit_delay);
  mi_option_set(mi_option_decommit_delay, 0);
}

GivesBackFreed::~GivesBackFreed() {
  if (!has_mimalloc()) return;
  std::lock_guard lock(mutex);
  if (--givers == 0) mi_option_set(mi_option_decommit_delay, usual_delay_ms);
}

void give_back_idle_memory() {
  if (!has_mimalloc()) return;
  GivesBackFreed gives_back;
  mi_collect(true);
}

}  // namespace rs
