# Compiler, flags and build speed. clang-19 only: g++ 12 miscompiles coroutines (see shared design notes in
# docs/decisions/0001-compiler.md), so anything else is refused here rather than crashing later.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "Roadstead needs clang 19 or newer (found ${CMAKE_CXX_COMPILER_ID} "
                      "${CMAKE_CXX_COMPILER_VERSION}). Run 'make setup', then use a preset: cmake --preset release")
endif()
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
find_program(CCACHE ccache)
if(CCACHE)
  # Paths relative to the tree and a time-free precompiled header let checkouts share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()
set(ROADSTEAD_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")
add_library(roadstead_flags INTERFACE)
target_compile_options(roadstead_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wunused -Werror
  -Wno-missing-field-initializers
  "SHELL:-Xclang -fno-pch-timestamp" -fpch-instantiate-templates
  $<$<CONFIG:Debug>:-O0> $<$<CONFIG:Debug>:-g1>)
target_compile_definitions(roadstead_flags INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_HAS_CO_AWAIT BOOST_ERROR_CODE_HEADER_ONLY
  ROADSTEAD_VERSION="${PROJECT_VERSION}")
target_link_options(roadstead_flags INTERFACE -fuse-ld=lld-19 -Wl,--gc-sections)
target_include_directories(roadstead_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(roadstead_flags INTERFACE -ffunction-sections -fdata-sections)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
if(ROADSTEAD_SANITIZE)
  target_compile_options(roadstead_flags INTERFACE -fsanitize=${ROADSTEAD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(roadstead_flags INTERFACE -fsanitize=${ROADSTEAD_SANITIZE})
endif()
