#!/usr/bin/env python3
"""Writes a C++ file that holds the bytes of some files: embed.py OUT.cpp FILE…"""
import pathlib
import sys

out, *files = sys.argv[1:]
lines = ['#include "console/page.h"', "", "namespace rs::console {", "namespace {"]
rows = []
for number, name in enumerate(files):
    data = pathlib.Path(name).read_bytes()
    lines.append(f"const unsigned char kFile{number}[] = {{")
    lines += ["  " + ",".join(map(str, data[i:i + 32])) + "," for i in range(0, len(data), 32)]
    lines.append("  0};")
    rows.append(f'    {{"/{pathlib.Path(name).name}", {{reinterpret_cast<const char*>(kFile{number}), {len(data)}}}}},')
lines += ["}  // namespace", "", "std::span<const PageFile> page_files() {"]
if rows:
    lines += ["  static const PageFile kFiles[] = {", *rows, "  };", "  return kFiles;"]
else:
    lines += ["  return {};"]
lines += ["}", "", "}  // namespace rs::console", ""]
pathlib.Path(out).write_text("\n".join(lines))
