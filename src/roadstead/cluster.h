// Cluster: the wiring of one `roadstead up`. Everything is made here, in the order of the rooms, and passed by reference.
// One loop (the mesh's workers have their own).
#pragma once

#include <memory>

#include "async/loop.h"
#include "roadstead/data_dir.h"
#include "roadstead/up.h"

namespace rs::roadstead {

struct Endpoints {
  std::string api, etcd, console, mesh;   // URLs
};

class Cluster {
 public:
  Cluster(async::Loop& loop, const UpOptions& options, DataDir& data);
  ~Cluster();
  // All parts run, and the API answers. On failure call stop() all the same.
  async::awaitable<Result<void>> start();
  // Applies the manifests of --apply; after start().
  async::awaitable<Result<size_t>> apply();
  // In reverse order, each part with a share of the five seconds; pods are left running for the next start.
  async::awaitable<void> stop();
  const Endpoints& endpoints() const;
  // Lines a person should read at start, e.g. what an unprivileged start cannot do.
  const std::vector<std::string>& notes() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace rs::roadstead
