# Everything comes from Debian packages (scripts/setup.sh lists them).
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(fmt REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
find_path(ROCKSDB_INCLUDE rocksdb/db.h REQUIRED)
find_library(ROCKSDB_LIBRARY rocksdb REQUIRED)
add_library(roadstead_rocksdb INTERFACE)
target_include_directories(roadstead_rocksdb SYSTEM INTERFACE ${ROCKSDB_INCLUDE})
target_link_libraries(roadstead_rocksdb INTERFACE ${ROCKSDB_LIBRARY})

# What the programs that serve allocate with: faster and smaller than libc's for many small short-lived pieces
# (docs/benchmarks.md). Tests use libc's, and sanitizers bring their own.
add_library(roadstead_allocator INTERFACE)
if(NOT ROADSTEAD_SANITIZE)
  find_package(mimalloc 2.0 REQUIRED)
  target_link_libraries(roadstead_allocator INTERFACE mimalloc)
endif()

add_library(roadstead_asio STATIC ${CMAKE_SOURCE_DIR}/cmake/asio_impl.cpp)
target_link_libraries(roadstead_asio PUBLIC roadstead_flags OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
