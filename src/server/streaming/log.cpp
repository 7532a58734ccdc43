#include <charconv>

#include "server/streaming/streaming.h"

namespace rs::server {
namespace {

Result<std::optional<int64_t>> number(const net::Target& target, std::string_view name, int64_t least) {
  std::string_view text = target.param(name);
  if (text.empty()) return std::optional<int64_t>();
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Code::kBadRequest, "strconv.ParseInt: parsing \"{}\": invalid syntax", text);
  if (value < least)
    return fail(Code::kInvalid, "PodLogOptions.core \"\" is invalid: {}: Invalid value: {}: must be greater than {}{}", name,
                value, least == 0 ? "or equal to " : "", least == 0 ? 0 : least - 1);
  return std::optional<int64_t>(value);
}

Result<client::LogOptions> log_options(const RequestInfo& info, std::string container) {
  const net::Target& target = info.target;
  client::LogOptions options;
  options.ns = info.ns;
  options.pod = info.name;
  options.container = std::move(container);
  options.follow = is_true(target.param("follow"));
  options.previous = is_true(target.param("previous"));
  options.timestamps = is_true(target.param("timestamps"));
  struct Number {
    std::string_view name;
    std::optional<int64_t>* slot;
    int64_t least;
  };
  for (Number wanted : {Number{"tailLines", &options.tail_lines, 0}, Number{"sinceSeconds", &options.since_seconds, 1},
                        Number{"limitBytes", &options.limit_bytes, 1}}) {
    auto value = number(target, wanted.name, wanted.least);
    if (!value) return std::unexpected(value.error());
    *wanted.slot = *value;
  }
  if (std::string_view since = target.param("sinceTime"); !since.empty()) {
    WallTime time;
    if (!parse_rfc3339(since, time)) return fail(Code::kBadRequest, "sinceTime: \"{}\" is no RFC 3339 time", since);
    options.since_time = time;
  }
  if (options.since_time && options.since_seconds)
    return fail(Code::kInvalid, "PodLogOptions.core \"\" is invalid: sinceTime: Forbidden: at most one of `sinceTime` or "
                                "`sinceSeconds` may be specified");
  return options;
}
}  // namespace

awaitable<Result<void>> handle_log(StreamContext context) {
  auto target = co_await find_pod_target(context.core, context.pods, context.info, true);
  if (!target) co_return std::unexpected(target.error());
  auto options = log_options(context.info, target->container);
  if (!options) co_return std::unexpected(options.error());
  std::unique_ptr<client::LogStream> log;
  if (target->node != nullptr) {
    auto opened = co_await target->node->logs(std::move(*options));
    if (!opened) co_return std::unexpected(opened.error());
    log = std::move(*opened);
  }
  auto started = co_await context.writer.start(200, {{"Content-Type", "text/plain"}, {"Cache-Control", "no-cache, private"}});
  while (started && log != nullptr) {
    auto bytes = co_await log->read();
    if (!bytes || bytes->empty()) break;
    started = co_await context.writer.write(std::move(*bytes));
  }
  if (started) (void)co_await context.writer.finish();
  co_return Result<void>();
}

StreamHandler stream_handler(const api::Kind& kind, std::string_view subresource) {
  if (kind.plural != "pods" || !kind.group.empty()) return nullptr;
  if (subresource == "log") return handle_log;
  if (subresource == "exec" || subresource == "attach") return handle_exec;
  if (subresource == "portforward") return handle_port_forward;
  return nullptr;
}

}  // namespace rs::server
