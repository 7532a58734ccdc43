// Giving memory back to the system, in programs that allocate with mimalloc
// (cmake/Dependencies.cmake). In others, whose allocators see to it themselves, nothing here does
// anything.
//
// mimalloc keeps pages that have become free, for what is allocated next, and gives them back only
// while the thread whose they are goes on allocating beside them. A thread that falls silent after
// a burst keeps all of it for good.
#pragma once

namespace rs {

// While one lives, pages that become free go back at once: for the end of a burst. Dear, hence not
// for what is allocated again soon: giving back and getting a MiB costs more than copying it.
// Nests; any thread, and meant for all of them.
class GivesBackFreed {
 public:
  GivesBackFreed();
  ~GivesBackFreed();
  GivesBackFreed(const GivesBackFreed&) = delete;
  GivesBackFreed& operator=(const GivesBackFreed&) = delete;
};

// Gives back what is free of the calling thread's memory, and what other threads have freed of it
// since it last allocated. For a thread that has nothing more to do.
void give_back_idle_memory();

}  // namespace rs
