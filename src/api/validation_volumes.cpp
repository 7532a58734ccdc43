// Rules of volumes. Source: pkg/apis/core/validation (validateVolumes and what it calls).
#include "api/validation_pods.h"

namespace rs::api::validation {
namespace {

void mode(Errors& errors, const Json& owner, std::string_view member, const std::string& path) {
  const Json* value = find(owner, member);
  int64_t bits = integer_of(value, 0);
  if (bits < 0 || bits > 0777)
    errors.invalid(at(path, member), bits, "must be a number between 0 and 0777 (octal), both inclusive");
}

void file_path(Errors& errors, std::string_view file, const std::string& path) {
  if (file.empty()) return errors.required(path);
  descending_path(errors, file, path);
  if (file.starts_with("..") && file != ".." && !file.starts_with("../")) errors.invalid(path, file, "must not start with '..'");
}

void items(Errors& errors, const Json& source, const std::string& path) {
  const JsonArray& list = array(source, "items");
  for (size_t i = 0; i < list.size(); ++i) {
    std::string here = at(at(path, "items"), i);
    if (str(list[i], "key").empty()) errors.required(at(here, "key"));
    file_path(errors, str(list[i], "path"), at(here, "path"));
    mode(errors, list[i], "mode", here);
  }
}

void downward_items(Errors& errors, const Json& source, const std::string& path) {
  const JsonArray& list = array(source, "items");
  for (size_t i = 0; i < list.size(); ++i) {
    std::string here = at(at(path, "items"), i);
    file_path(errors, str(list[i], "path"), at(here, "path"));
    bool field = find(list[i], "fieldRef") != nullptr, resource = find(list[i], "resourceFieldRef") != nullptr;
    if (field && resource) errors.invalid(here, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
    if (!field && !resource) errors.required(here, "one of fieldRef and resourceFieldRef is required");
    mode(errors, list[i], "mode", here);
  }
}

void host_path(Errors& errors, const Json& source, const std::string& path) {
  std::string_view host = str(source, "path");
  if (host.empty()) return errors.required(at(path, "path"));
  std::string whole = fmt::format("/{}/", host);
  if (whole.find("/../") != std::string::npos) errors.invalid(at(path, "path"), host, "must not contain '..'");
  one_of(errors, source, "type", path,
         {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"}, false);
}

void projected(Errors& errors, const Json& volume, const std::string& path) {
  mode(errors, volume, "defaultMode", path);
  const JsonArray& sources = array(volume, "sources");
  for (size_t i = 0; i < sources.size(); ++i) {
    std::string here = at(at(path, "sources"), i);
    int count = 0;
    for (std::string_view member : {"secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"}) {
      const Json* source = find(sources[i], member);
      if (source == nullptr) continue;
      std::string inside = at(here, member);
      if (++count > 1) {
        errors.forbidden(inside, "may not specify more than 1 volume type");
      } else if (member == "serviceAccountToken") {
        int64_t seconds = integer_or(*source, 3600, "expirationSeconds");
        if (seconds < 600) errors.invalid(at(inside, "expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
        if (seconds > (int64_t(1) << 32))
          errors.invalid(at(inside, "expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds");
        file_path(errors, str(*source, "path"), at(inside, "path"));
      } else if (member == "downwardAPI") {
        downward_items(errors, *source, inside);
      } else if (member != "clusterTrustBundle") {
        if (str(*source, "name").empty()) errors.required(at(inside, "name"));
        items(errors, *source, inside);
      }
    }
    if (count == 0) errors.required(here, "must specify one of: configMap, secret, downwardAPI, serviceAccountToken");
  }
}

void source_rules(Errors& errors, std::string_view type, const Json& source, const std::string& path) {
  if (type == "hostPath") {
    host_path(errors, source, path);
  } else if (type == "secret") {
    if (str(source, "secretName").empty()) errors.required(at(path, "secretName"));
    mode(errors, source, "defaultMode", path);
    items(errors, source, path);
  } else if (type == "configMap") {
    if (str(source, "name").empty()) errors.required(at(path, "name"));
    mode(errors, source, "defaultMode", path);
    items(errors, source, path);
  } else if (type == "downwardAPI") {
    mode(errors, source, "defaultMode", path);
    downward_items(errors, source, path);
  } else if (type == "projected") {
    projected(errors, source, path);
  } else if (type == "persistentVolumeClaim") {
    if (str(source, "claimName").empty()) errors.required(at(path, "claimName"));
  } else if (type == "nfs") {
    for (std::string_view member : {"server", "path"})
      if (str(source, member).empty()) errors.required(at(path, member));
  } else if (type == "csi" && str(source, "driver").empty()) {
    errors.required(at(path, "driver"));
  }
}

}  // namespace

VolumeNames volumes(Errors& errors, const Json& spec, const std::string& path) {
  VolumeNames out;
  const JsonArray& list = array(spec, "volumes");
  for (size_t i = 0; i < list.size(); ++i) {
    std::string here = at(at(path, "volumes"), i);
    std::string_view name = str(list[i], "name");
    if (name.empty()) errors.required(at(here, "name"));
    else errors.each(at(here, "name"), name, names::dns1123_label(name));
    if (!out.emplace(name).second) errors.duplicate(at(here, "name"), name);
    int sources = 0;
    if (list[i].is_object())
      for (const auto& [type, source] : list[i].get_object()) {
        if (type == "name" || source.is_null()) continue;
        if (++sources > 1) errors.forbidden(at(here, type), "may not specify more than 1 volume type");
        else source_rules(errors, type, source, at(here, type));
      }
    if (sources == 0) errors.required(here, "must specify a volume type");
  }
  return out;
}

}  // namespace rs::api::validation
