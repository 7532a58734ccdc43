#include "roadstead/manifests.h"

#include "api/codec.h"
#include "roadstead/data_dir.h"

namespace rs::roadstead {

namespace fs = std::filesystem;

namespace {

bool is_manifest(const fs::path& file) {
  return file.extension() == ".yaml" || file.extension() == ".yml" || file.extension() == ".json";
}

void take_apart(Json object, std::vector<Json>& out) {
  if (!object.is_object()) return;
  if (str(object, "kind") != "List") {
    out.push_back(std::move(object));
    return;
  }
  for (const Json& item : array(object, "items")) out.push_back(item);
}

}  // namespace

Result<std::vector<Json>> read_manifests(const fs::path& path) {
  std::vector<fs::path> files;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    for (const auto& entry : fs::directory_iterator(path, error))
      if (entry.is_regular_file() && is_manifest(entry.path())) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    if (files.empty()) return fail(Code::kNotFound, "no *.yaml, *.yml or *.json in {}", path.string());
  } else {
    files.push_back(path);
  }
  std::vector<Json> objects;
  for (const auto& file : files) {
    auto text = read_file(file);
    if (!text) return fail(text.error());
    auto documents = api::parse_yaml_documents(*text);
    if (!documents) return fail_at(file.string(), documents.error());
    for (Json& document : *documents) take_apart(std::move(document), objects);
  }
  return objects;
}

async::awaitable<Result<size_t>> apply_manifests(client::Client& client, std::vector<Json> objects) {
  auto is_namespace = [](const Json& object) { return str(object, "kind") == "Namespace"; };
  std::vector<Json*> order;
  for (bool namespaces : {true, false})
    for (Json& object : objects)
      if (is_namespace(object) == namespaces) order.push_back(&object);
  size_t applied = 0;
  for (Json* next : order) {
    Json& object = *next;
    std::string what = fmt::format("{} {}", str(object, "kind"), api::to_string(api::key_of(object)));
    auto resource = client::resource_for(str(object, "apiVersion"), str(object, "kind"));
    if (!resource) co_return fail(Code::kNotFound, "{}: no kind {} in {}", what, str(object, "kind"), str(object, "apiVersion"));
    if (resource->namespaced && api::namespace_of(object).empty()) set(object, Json("default"), "metadata", "namespace");
    auto key = api::key_of(object);
    auto done = co_await client.patch(*resource, key, client::PatchType::kApply, std::move(object));
    if (!done) co_return fail_at(what, done.error());
    ++applied;
  }
  co_return applied;
}

}  // namespace rs::roadstead
