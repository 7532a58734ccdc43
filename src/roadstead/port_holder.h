// Who holds a TCP port, as far as /proc lets us see.
#pragma once

#include <cstdint>
#include <string>

namespace rs::roadstead {

// "etcd (process 812)", or "another program" when it cannot be known. Blocking, a few milliseconds.
std::string port_holder(uint16_t port);

}  // namespace rs::roadstead
