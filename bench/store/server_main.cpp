#include "store/etcd/standalone.h"

int main(int argc, char** argv) {
  return rs::store::etcd::run_store(argc - 1, argv + 1);
}
