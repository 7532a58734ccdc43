#include "node/logs.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <filesystem>

#include "node/runtime/spawn.h"

namespace rs::node {
namespace fs = std::filesystem;
namespace {

constexpr size_t kChunk = 64 << 10;

// The files of one log, oldest first: x.log.4 … x.log.1, x.log.
std::vector<std::string> files_of(const std::string& path) {
  std::vector<std::string> files;
  for (int i = 9; i >= 1; --i)
    if (std::string old = fmt::format("{}.{}", path, i); fs::exists(old)) files.push_back(std::move(old));
  files.push_back(path);
  return files;
}

// How many whole lines to skip so that the last count remain: counted over all files.
int64_t lines_in(const std::vector<std::string>& files) {
  int64_t count = 0;
  for (const std::string& file : files) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);)
      if (auto parsed = parse_log_line(line); parsed && !parsed->partial) ++count;
  }
  return count;
}

class FileLog final : public client::LogStream {
 public:
  FileLog(async::Loop& loop, std::string path, LogQuery query)
      : loop_(loop), path_(std::move(path)), query_(query), files_(files_of(path_)) {
    if (query_.tail_lines) skip_ = std::max<int64_t>(0, lines_in(files_) - *query_.tail_lines);
    if (query_.follow) watch();
  }

  awaitable<Result<std::string>> read() override {
    for (;;) {
      if (done_) co_return std::string();
      bool ended = has_ended();  // before reading: what was written before the end is then read
      std::string text = read_some();
      if (!text.empty()) co_return cut(std::move(text));
      if (done_ || !query_.follow || ended) co_return std::string();
      if (!watcher_) co_return std::string();
      auto event = co_await watcher_->read();
      if (!event) co_return fail(event.error());
    }
  }

 private:
  void watch() {
    UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd) return;
    ::inotify_add_watch(fd.get(), fs::path(path_).parent_path().c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF);
    ::inotify_add_watch(fd.get(), state_dir().c_str(), IN_MOVED_TO | IN_DELETE_SELF);
    watcher_ = std::make_unique<PipeReader>(loop_, std::move(fd));
  }
  std::string state_dir() const { return path_.substr(0, path_.size() - std::string_view(".log").size()); }
  bool has_ended() const { return !fs::exists(state_dir()) || fs::exists(state_dir() + "/exit"); }

  // Formatted text of some lines; empty at the end of what there is now.
  std::string read_some() {
    std::string out;
    while (out.empty()) {
      if (!file_ && !open_next()) return out;
      char buffer[kChunk];
      ssize_t got = ::read(file_.get(), buffer, sizeof buffer);
      if (got > 0) {
        held_.append(buffer, static_cast<size_t>(got));
        take_lines(out);
      } else if (!current_is_newest()) {
        file_.reset();
      } else {
        return out;
      }
    }
    return out;
  }
  bool open_next() {
    std::string next = files_.empty() ? path_ : files_.front();
    if (!files_.empty()) files_.erase(files_.begin());
    file_ = UniqueFd(::open(next.c_str(), O_RDONLY | O_CLOEXEC));
    held_.clear();
    // A file that was rotated away between listing and opening is skipped.
    return file_ ? true : !files_.empty() && open_next();
  }
  bool current_is_newest() const {
    if (!files_.empty()) return false;
    struct stat ours {}, newest {};
    if (::fstat(file_.get(), &ours) != 0 || ::stat(path_.c_str(), &newest) != 0) return true;
    return ours.st_ino == newest.st_ino;
  }
  void take_lines(std::string& out) {
    size_t at = 0;
    for (size_t end; (end = held_.find('\n', at)) != std::string::npos; at = end + 1) {
      auto line = parse_log_line(std::string_view(held_).substr(at, end - at));
      if (!line) continue;
      if (skip_ > 0) {
        if (!line->partial) --skip_;
        continue;
      }
      WallTime time;
      if (query_.since && parse_rfc3339(line->time, time) && time < *query_.since) continue;
      if (query_.timestamps && !inside_line_) out.append(line->time).append(" ");
      out.append(line->text);
      if (!line->partial) out.push_back('\n');
      inside_line_ = line->partial;
    }
    held_.erase(0, at);
  }
  std::string cut(std::string text) {
    if (!query_.limit_bytes) return text;
    auto left = static_cast<size_t>(*query_.limit_bytes) - sent_;
    if (text.size() >= left) {
      text.resize(left);
      done_ = true;
    }
    sent_ += text.size();
    return text;
  }

  async::Loop& loop_;
  std::string path_;
  LogQuery query_;
  std::vector<std::string> files_;
  UniqueFd file_;
  std::string held_;
  std::unique_ptr<PipeReader> watcher_;
  int64_t skip_ = 0;
  size_t sent_ = 0;
  bool inside_line_ = false, done_ = false;
};

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
  LogLine out;
  size_t first = line.find(' ');
  if (first == std::string_view::npos) return std::nullopt;
  size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  out.time = line.substr(0, first);
  out.stream = line.substr(first + 1, second - first - 1);
  std::string_view rest = line.substr(second + 1);
  if (rest.empty() || (rest[0] != 'F' && rest[0] != 'P') || (out.stream != "stdout" && out.stream != "stderr")) return std::nullopt;
  if (rest.size() > 1 && rest[1] != ' ') return std::nullopt;
  out.partial = rest[0] == 'P';
  out.text = rest.size() > 2 ? rest.substr(2) : std::string_view();
  return out;
}

std::unique_ptr<client::LogStream> open_log(async::Loop& loop, std::string path, LogQuery query) {
  return std::make_unique<FileLog>(loop, std::move(path), query);
}

std::string log_tail(const std::string& path, size_t lines, size_t bytes) {
  std::ifstream in(path);
  std::deque<std::string> last;
  for (std::string line; std::getline(in, line);) {
    auto parsed = parse_log_line(line);
    if (!parsed) continue;
    last.push_back(std::string(parsed->text) + (parsed->partial ? "" : "\n"));
    if (last.size() > lines) last.pop_front();
  }
  std::string text;
  for (const std::string& line : last) text += line;
  return text.size() > bytes ? text.substr(text.size() - bytes) : text;
}

}  // namespace rs::node
