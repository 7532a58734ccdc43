// YAML bodies and manifests; what is read can be written and read again.
#include <cstddef>
#include <cstdint>

#include "api/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rs::api;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto documents = parse_yaml_documents(input);
  if (documents)
    for (const auto& document : *documents) (void)parse_yaml(to_yaml(document));
  static const Kind& kDeployment = *builtin_kinds().by_kind("apps", "v1", "Deployment");
  (void)decode_object(MediaType::kYaml, input, &kDeployment, FieldValidation::kStrict);
  return 0;
}
