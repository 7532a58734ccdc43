// Secrets: stringData is a write-only way to give data (core/v1 Secret).
#include "server/encoding.h"
#include "server/strategies/strategies.h"

namespace rs::server {
namespace {

void merge_string_data(Json& secret) {
  const JsonObject texts = object(secret, "stringData");
  for (const auto& [name, text] : texts)
    if (text.is_string()) set(secret, Json(base64(text.get_string())), "data", std::string_view(name));
  erase(secret, "stringData");
}

class SecretStrategy final : public Strategy {
 public:
  Result<void> prepare_create(Core&, Write&, Json& secret) const override {
    merge_string_data(secret);
    return {};
  }
  Result<void> prepare_update(Core&, Write&, Json& secret, const Json&) const override {
    merge_string_data(secret);
    return {};
  }
};
}  // namespace

const Strategy& secret_strategy() {
  static const SecretStrategy kStrategy;
  return kStrategy;
}

}  // namespace rs::server
