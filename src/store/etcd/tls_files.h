// What clients' connections are secured with, as etcd's flags name it: read from files, and read
// again when a connection comes after they have changed (etcd server/embed, client/pkg/transport).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/tls.h"
#include "store/etcd/flags.h"

namespace rs::store::etcd {

// A whole file; kNotFound when it cannot be read.
Result<std::string> read_file(const std::string& path);

class TlsFiles {
 public:
  // Fails when a file is not there, or not what it should be.
  static Result<std::unique_ptr<TlsFiles>> open(const StandaloneOptions& options);
  // Of the files as they are now. While they cannot be used (half of a pair is written), of those
  // that could be last.
  std::shared_ptr<const net::TlsServerContext> current();

 private:
  struct Seen {  // of one file, to notice that it is another
    int64_t changed_ns = 0, bytes = 0;
    uint64_t inode = 0;
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  explicit TlsFiles(const StandaloneOptions& options) : options_(options) {}
  std::vector<Seen> look() const;
  Result<std::shared_ptr<const net::TlsServerContext>> load() const;

  const StandaloneOptions options_;
  std::vector<Seen> seen_;
  std::shared_ptr<const net::TlsServerContext> context_;
};

// --auto-tls: a certificate for these hosts in directory, made when there is none yet that lives;
// sets its files' names.
Result<void> make_self_signed(const Clock& clock, const std::string& directory,
                              StandaloneOptions& options);

}  // namespace rs::store::etcd
