// The files of the console's page, embedded at build time (scripts/embed.py). Immutable.
#pragma once

#include <span>
#include <string_view>

namespace rs::console {

struct PageFile {
  std::string_view path;   // "/app.js"
  std::string_view bytes;
};
std::span<const PageFile> page_files();

}  // namespace rs::console
