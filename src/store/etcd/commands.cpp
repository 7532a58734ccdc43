#include "store/etcd/commands.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "async/task_group.h"
#include "store/engine/rocks_engine.h"
#include "store/snapshot/etcd_log.h"
#include "store/snapshot/fetch.h"
#include "store/snapshot/snapshot.h"

namespace rs::store::etcd {
namespace {

namespace fs = std::filesystem;

struct Restore {
  std::string data_dir;
  int64_t bump_revision = 0;
  bool mark_compacted = false, skip_hash_check = false;
  // Of etcdctl's command line; who the members are is told at every start here.
  std::string name, initial_cluster, initial_cluster_token, initial_advertise_peer_urls, wal_dir;
};

int report(const Error& error) {
  std::cerr << "Error: " << to_string(error) << "\n";
  return 1;
}

std::string human(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = double(bytes);
  size_t unit = 0;
  constexpr std::string_view kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return value < 10 ? fmt::format("{:.1f} {}", value, kUnits[unit]) : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

// Says how far it is, in place, when somebody looks.
class Progress {
 public:
  void show(std::string_view text) {
    if (!shown_) return;
    std::cerr << "\r\033[K" << text << std::flush;
    dirty_ = true;
  }
  ~Progress() {
    if (dirty_) std::cerr << "\r\033[K" << std::flush;
  }

 private:
  const bool shown_ = ::isatty(STDERR_FILENO) == 1;
  bool dirty_ = false;
};

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

net::awaitable<void> fetch_and_stop(async::SystemLoop& loop, const snapshot::FetchOptions& options, int fd,
                                    Result<uint64_t>& out) {
  out = co_await snapshot::fetch(loop, options, fd);
  loop.stop();
}

Result<uint64_t> fetch_to(const std::string& path, snapshot::FetchOptions options) {
  Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (file.fd < 0) return fail(Code::kUnavailable, "cannot write {}: {}", path, std::strerror(errno));
  Progress progress;
  options.progress = [&progress](uint64_t done, uint64_t total) {
    if (done % (1 << 20) < (64 << 10)) progress.show(fmt::format("{} of {}", human(done), human(total)));
  };
  Result<uint64_t> bytes = uint64_t(0);
  async::SystemLoop loop;
  async::TaskGroup tasks(loop);
  tasks.spawn("fetch", fetch_and_stop(loop, options, file.fd, bytes));
  loop.run();
  if (bytes && ::fsync(file.fd) != 0) return fail(Code::kUnavailable, "cannot write {}: {}", path, std::strerror(errno));
  return bytes;
}

int save(const std::string& path, const snapshot::FetchOptions& options) {
  const std::string part = path + ".part";
  auto bytes = fetch_to(part, options);
  if (!bytes) {
    std::error_code ignored;
    fs::remove(part, ignored);
    return report(bytes.error());
  }
  std::error_code error;
  fs::rename(part, path, error);
  if (error) return report({Code::kUnavailable, fmt::format("cannot write {}: {}", path, error.message())});
  std::cout << "Snapshot saved at " << path << "\n";
  return 0;
}

Result<snapshot::BboltReader> open_snapshot(const snapshot::Source& source, bool skip_hash_check) {
  auto bytes = snapshot::verified_bytes(source, skip_hash_check);
  if (!bytes) return fail(bytes.error());
  return snapshot::BboltReader::open(source, *bytes);
}

Result<snapshot::Restored> restore_to(const std::string& path, const Restore& options) {
  auto source = snapshot::open_file(path);
  if (!source) return fail(source.error());
  auto reader = open_snapshot(**source, options.skip_hash_check);
  if (!reader) return fail(reader.error());
  std::error_code error;
  if (fs::exists(options.data_dir, error) && !fs::is_empty(options.data_dir, error))
    return fail(Code::kAlreadyExists, "data-dir \"{}\" not empty or could not be read: give another, or move it away first", options.data_dir);
  // Whole or not there: a half-restored directory must not be started on.
  const std::string part = options.data_dir + ".part";
  fs::remove_all(part, error);
  async::SystemLoop loop;
  snapshot::RestoreOptions how{.bump_revision = options.bump_revision,
                               .cluster_id = loop.random().next() | 1,
                               .member_id = loop.random().next() | 1,
                               .progress = nullptr};
  Progress progress;
  how.progress = [&progress](int64_t records) { progress.show(fmt::format("{} records", records)); };
  Result<snapshot::Restored> restored;
  {
    auto engine = engine::open_rocks_engine(part);
    if (!engine) return fail(engine.error());
    restored = snapshot::restore(*reader, **engine, how);
    (*engine)->shutdown();
  }
  if (!restored) {
    fs::remove_all(part, error);
    return restored;
  }
  fs::remove(options.data_dir, error);
  fs::rename(part, options.data_dir, error);
  if (error) return fail(Code::kUnavailable, "cannot make {}: {}", options.data_dir, error.message());
  Descriptor parent{::open(fs::absolute(options.data_dir).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (parent.fd >= 0) ::fsync(parent.fd);
  return restored;
}

void print_restored(const snapshot::Restored& restored, const Restore& options, double seconds) {
  fmt::print("Restored {} records up to revision {} ({} leases, {} users) into {} in {:.1f} s.\n", restored.records,
             restored.revision, restored.leases, restored.users, options.data_dir, seconds);
  fmt::print("Start it with: roadstead store --data-dir {}\n", options.data_dir);
}

Result<void> check_restore(Restore& options) {
  if ((options.bump_revision > 0) != options.mark_compacted)
    return fail(Code::kBadRequest, "--bump-revision and --mark-compacted go together: clients that watch must start anew");
  if (!options.wal_dir.empty())
    return fail(Code::kBadRequest, "--wal-dir: the log lies in the data directory here");
  if (options.data_dir.empty()) options.data_dir = options.name + ".etcd";
  return {};
}

// A database file that lies in etcd's data directory: says so when the log beside it has more than it has.
void warn_of_log(const std::string& path) {
  std::error_code ec;
  const fs::path log = fs::absolute(path, ec).parent_path().parent_path() / "wal";
  if (ec || fs::path(path).filename() != "db" || !fs::is_directory(log, ec)) return;
  auto source = snapshot::open_file(path);
  if (!source) return;
  auto reader = open_snapshot(**source, true);
  auto index = reader ? reader->get("meta", "consistent_index") : Result<std::string>(std::string());
  if (!index || index->size() != 8) return;
  uint64_t applied = 0;
  for (const char c : *index) applied = applied << 8 | uint8_t(c);
  auto missing = snapshot::changes_after(log, applied);
  if (!missing) {
    std::cerr << "Warning: whether etcd's log has more than this file is not known: " << missing.error().message << "\n";
  } else if (*missing > 0) {
    fmt::print(stderr,
               "Warning: {} requests at the end of etcd's log in {} are not in this file: etcd was killed, or they changed "
               "nothing.\nTo have them for certain, start that etcd once more, stop it with SIGTERM, and restore again; or "
               "import from it while it runs.\n",
               *missing, log.string());
  }
}

int restore(const std::string& path, Restore options) {
  if (auto checked = check_restore(options); !checked) return report(checked.error());
  const MonoTime began = SystemClock().now();
  auto restored = restore_to(path, options);
  if (!restored) return report(restored.error());
  print_restored(*restored, options, std::chrono::duration<double>(SystemClock().now() - began).count());
  warn_of_log(path);
  return 0;
}

int import(const snapshot::FetchOptions& from, Restore options) {
  const MonoTime began = SystemClock().now();
  std::error_code error;
  if (fs::exists(options.data_dir, error) && !fs::is_empty(options.data_dir, error))
    return report({Code::kAlreadyExists, fmt::format("data-dir \"{}\" not empty or could not be read: give another, or move it away first", options.data_dir)});
  // Beside the data directory, where there is room for what it will hold.
  const std::string file = options.data_dir + ".snapshot";
  auto bytes = fetch_to(file, from);
  if (bytes) fmt::print("Fetched {} from {}.\n", human(*bytes), from.endpoint);
  Result<snapshot::Restored> restored;
  if (bytes) restored = restore_to(file, options);
  fs::remove(file, error);
  if (!bytes) return report(bytes.error());
  if (!restored) return report(restored.error());
  print_restored(*restored, options, std::chrono::duration<double>(SystemClock().now() - began).count());
  return 0;
}

int status(const std::string& path, const std::string& form) {
  auto source = snapshot::open_file(path);
  if (!source) return report(source.error());
  // As etcdctl: what the file holds is told whether it is as it was saved or not.
  auto reader = open_snapshot(**source, true);
  if (!reader) return report(reader.error());
  auto summary = snapshot::summarize(*reader);
  if (!summary) return report(summary.error());
  if (form == "json") {
    boost::json::object out;
    out["hash"] = summary->hash;
    out["revision"] = summary->revision;
    out["totalKey"] = summary->keys;
    out["totalSize"] = summary->bytes;
    out["version"] = summary->version;
    std::cout << boost::json::serialize(out) << "\n";
  } else if (form == "simple") {
    fmt::print("{:x}, {}, {}, {}\n", summary->hash, summary->revision, summary->keys, human(summary->bytes));
  } else {
    const std::vector<std::pair<std::string, std::string>> columns = {
        {"HASH", fmt::format("{:x}", summary->hash)},
        {"REVISION", std::to_string(summary->revision)},
        {"TOTAL KEYS", std::to_string(summary->keys)},
        {"TOTAL SIZE", human(summary->bytes)},
        {"VERSION", summary->version.empty() ? "before 3.6" : summary->version}};
    std::string head, row;
    for (const auto& [name, value] : columns) {
      const size_t width = std::max(name.size(), value.size()) + 3;
      head += fmt::format("{:<{}}", name, width);
      row += fmt::format("{:<{}}", value, width);
    }
    fmt::print("{}\n{}\n", head, row);
  }
  return 0;
}

void add_client_options(CLI::App& command, snapshot::FetchOptions& options) {
  command.add_option("--cacert", options.ca, "CA that the server's certificate is verified with (PEM file)");
  command.add_option("--cert", options.certificate, "Client certificate (PEM file)");
  command.add_option("--key", options.key, "Its key (PEM file)");
  command.add_flag("--insecure-skip-tls-verify", options.insecure_skip_verify, "Do not verify the server's certificate");
  command.add_option("--user", options.user, "name:password, when authentication is on");
}

}  // namespace

std::optional<int> run_command(const std::vector<std::string>& arguments) {
  if (arguments.empty() || (arguments[0] != "snapshot" && arguments[0] != "import")) return std::nullopt;
  int exit_status = 0;
  std::string path, form = "table";
  snapshot::FetchOptions from;
  Restore how{.name = "default"};

  CLI::App app("", "roadstead store");
  app.require_subcommand(1);
  auto* snapshots = app.add_subcommand("snapshot", "Save, restore or look at a snapshot, in etcd's own format");
  snapshots->require_subcommand(1);

  auto* saving = snapshots->add_subcommand("save", "Save a snapshot of a running server, etcd or Roadstead");
  saving->add_option("FILE", path, "Where to")->required();
  saving->add_option("--endpoints", from.endpoint, "The server, as host:port or URL")->capture_default_str();
  add_client_options(*saving, from);
  saving->callback([&] { exit_status = save(path, from); });

  auto* restoring = snapshots->add_subcommand("restore", "Make a data directory of a snapshot, etcd's or Roadstead's");
  restoring->add_option("FILE", path, "The snapshot")->required();
  restoring->add_option("--data-dir", how.data_dir, "The new data directory (default: NAME.etcd)");
  restoring->add_option("--name", how.name, "Human-readable name of this member")->capture_default_str();
  restoring->add_flag("--skip-hash-check", how.skip_hash_check,
                      "The file has no checksum (it was copied from a data directory)");
  restoring->add_option("--bump-revision", how.bump_revision, "Raise the latest revision by so much")
      ->check(CLI::Range(int64_t(0), int64_t(1) << 60));
  restoring->add_flag("--mark-compacted", how.mark_compacted,
                      "All up to the raised revision is compacted, so that watchers notice the restore");
  restoring->add_option("--initial-cluster", how.initial_cluster, "As etcdctl has it; without effect on a single node");
  restoring->add_option("--initial-cluster-token", how.initial_cluster_token, "As etcdctl has it; without effect");
  restoring->add_option("--initial-advertise-peer-urls", how.initial_advertise_peer_urls, "As etcdctl has it; without effect");
  restoring->add_option("--wal-dir", how.wal_dir, "Refused: the log lies in the data directory");
  restoring->callback([&] { exit_status = restore(path, how); });

  auto* telling = snapshots->add_subcommand("status", "Say what is in a snapshot");
  telling->add_option("FILE", path, "The snapshot")->required();
  telling->add_option("-w,--write-out,-o,--output", form, "table, json or simple")
      ->check(CLI::IsMember({"table", "json", "simple"}))->capture_default_str();
  telling->callback([&] { exit_status = status(path, form); });

  auto* importing = app.add_subcommand("import", "Make a data directory of what a running etcd holds, in one go");
  importing->add_option("--from", from.endpoint, "The etcd, as URL or host:port")->required();
  importing->add_option("--data-dir", how.data_dir, "The new data directory")->required();
  add_client_options(*importing, from);
  importing->callback([&] { exit_status = import(from, how); });

  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return exit_status;
}

}  // namespace rs::store::etcd
