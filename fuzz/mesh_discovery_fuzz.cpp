// Any bytes as a Service and as an EndpointSlice, as a last-known-good file, as a name and as first bytes.
#include "mesh/discovery/discovery.h"
#include "mesh/discovery/lkg.h"
#include "mesh/proxy/detect.h"
#include "mesh/route/name.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)rs::mesh::parse_name(bytes, "default");
  (void)rs::mesh::detect_bytes(bytes);
  (void)rs::mesh::decode_lkg(bytes);
  auto object = rs::parse_json(bytes, {.depth = 32, .bytes = 1 << 20});
  if (!object) return 0;
  rs::mesh::Discovery discovery;
  discovery.apply_service({"a", "b"}, &*object);
  discovery.apply_slice({"a", "b"}, &*object);
  discovery.apply_pod({"a", "b"}, &*object);
  discovery.synced(1);
  (void)discovery.take_changes();
  return 0;
}
