#include "roadstead/kubeconfig.h"

#include <openssl/evp.h>

#include "api/codec.h"

namespace rs::roadstead {
namespace {

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return out;
}

constexpr std::string_view kName = "roadstead";

// Replaces the entry of the same name in a list of {name, …}, or adds it.
void put_named(Json& config, std::string_view list, const Json& entry) {
  Json& entries = ensure(config, list);
  if (!entries.is_array()) entries.emplace_array();
  for (Json& known : entries.get_array()) {
    if (str(known, "name") != str(entry, "name")) continue;
    known = entry;
    return;
  }
  entries.get_array().push_back(entry);
}

}  // namespace

Json kubeconfig(std::string_view server_url, const Pki& pki) {
  return JsonObject{
      {"apiVersion", "v1"},
      {"kind", "Config"},
      {"clusters", JsonArray{JsonObject{{"name", kName},
                                        {"cluster", JsonObject{{"server", server_url},
                                                               {"certificate-authority-data", base64(pki.ca.certificate)}}}}}},
      {"users", JsonArray{JsonObject{{"name", kName},
                                     {"user", JsonObject{{"client-certificate-data", base64(pki.admin.certificate)},
                                                         {"client-key-data", base64(pki.admin.private_key)}}}}}},
      {"contexts", JsonArray{JsonObject{{"name", kName},
                                        {"context", JsonObject{{"cluster", kName}, {"user", kName}, {"namespace", "default"}}}}}},
      {"current-context", kName},
  };
}

Result<void> merge_kubeconfig(const std::filesystem::path& file, const Json& config) {
  Json merged = config;
  if (auto text = read_file(file); text && !text->empty()) {
    auto known = api::parse_yaml(*text);
    if (!known) return fail_at("the kubeconfig " + file.string() + " is not touched", known.error());
    if (known->is_object()) {
      merged = std::move(*known);
      for (std::string_view list : {"clusters", "users", "contexts"}) put_named(merged, list, array(config, list).at(0));
      set(merged, Json(kName), "current-context");
    }
  }
  std::error_code error;
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), error);
  return write_file(file, api::to_yaml(merged), 0600);
}

}  // namespace rs::roadstead
