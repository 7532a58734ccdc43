#include "node/volumes.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "api/meta.h"
#include "node/pod_core.h"
#include "node/runtime/fd.h"

namespace rs::node {
namespace fs = std::filesystem;
namespace {

constexpr size_t kFilesMax = 10'000;

int mode_of(const Json& item, int otherwise) {
  return static_cast<int>(integer_or(item, otherwise, "mode")) & 0777;
}

// A path from an object must stay inside the volume.
bool is_inside(std::string_view path) {
  if (path.empty() || path.starts_with('/')) return false;
  for (const auto& part : fs::path(path))
    if (part == "..") return false;
  return !path.starts_with("..");
}

Result<void> put_file(VolumeFiles& files, std::string_view path, std::string content, int mode) {
  if (!is_inside(path)) return fail(Code::kInvalid, "invalid path in volume: {}", path);
  if (files.size() >= kFilesMax) return fail(Code::kResourceExhausted, "more than {} files in a volume", kFilesMax);
  files[std::string(path)] = {std::move(content), mode};
  return {};
}

std::optional<std::string> data_of(const Json& object, std::string_view key, bool secret) {
  if (const Json* value = find(object, "data", key); value != nullptr && value->is_string())
    return secret ? decode_base64(value->get_string()) : std::string(value->get_string());
  if (const Json* value = find(object, "binaryData", key); !secret && value != nullptr && value->is_string())
    return decode_base64(value->get_string());
  return std::nullopt;
}

// source: {name|secretName, items, optional} of a configMap or secret.
Result<void> add_object(VolumeFiles& files, const VolumeInput& in, const Json& source, std::string_view name, bool secret, int mode) {
  const Json* object = secret ? in.secret(name) : in.config_map(name);
  bool optional = boolean(source, "optional");
  if (object == nullptr) {
    if (optional) return {};
    return fail(Code::kNotFound, "{} \"{}\" not found", secret ? "secret" : "configmap", name);
  }
  if (array(source, "items").empty()) {
    for (std::string_view member : {"data", "binaryData"})
      for (const auto& [key, value] : rs::object(*object, member))
        if (auto content = data_of(*object, key, secret))
          if (auto added = put_file(files, key, std::move(*content), mode); !added) return added;
    return {};
  }
  for (const Json& item : array(source, "items")) {
    auto content = data_of(*object, str(item, "key"), secret);
    if (!content && !optional)
      return fail(Code::kNotFound, "references non-existent {} key: {}", secret ? "secret" : "config", str(item, "key"));
    if (!content) continue;
    if (auto added = put_file(files, str(item, "path"), std::move(*content), mode_of(item, mode)); !added) return added;
  }
  return {};
}

Result<void> add_downward(VolumeFiles& files, const VolumeInput& in, const Json& source, int mode) {
  for (const Json& item : array(source, "items")) {
    Result<std::string> value = std::string();
    if (const Json* field = find(item, "fieldRef"))
      value = field_value(in.pod, in.facts, str(*field, "fieldPath"));
    else if (const Json* resource = find(item, "resourceFieldRef"))
      value = resource_value(in.pod, container_spec(in.pod, str(*resource, "containerName")), in.facts, *resource);
    if (!value) return fail(value.error());
    if (auto added = put_file(files, str(item, "path"), std::move(*value), mode_of(item, mode)); !added) return added;
  }
  return {};
}

TokenRequest token_request(const Json& source) {
  return {std::string(str(source, "audience")), integer_or(source, 3600, "expirationSeconds")};
}

Result<void> add_projected(VolumeFiles& files, const VolumeInput& in, const Json& projected, int mode) {
  for (const Json& source : array(projected, "sources")) {
    Result<void> added;
    if (const Json* s = find(source, "configMap")) added = add_object(files, in, *s, str(*s, "name"), false, mode);
    if (const Json* s = find(source, "secret"); s != nullptr && added) added = add_object(files, in, *s, str(*s, "name"), true, mode);
    if (const Json* s = find(source, "downwardAPI"); s != nullptr && added) added = add_downward(files, in, *s, mode);
    if (const Json* s = find(source, "serviceAccountToken"); s != nullptr && added)
      added = put_file(files, str(*s, "path"), in.token(token_request(*s)), mode);
    if (!added) return added;
  }
  return {};
}

std::unexpected<Error> os_error(std::string_view what, const std::string& path) {
  return fail(Code::kInternalError, "{} {}: {}", what, path, std::strerror(errno));
}

bool same_files(const std::string& directory, const VolumeFiles& files) {
  std::error_code error;
  size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory + "/..data/", error))
    if (entry.is_regular_file(error)) ++count;
  if (count != files.size()) return false;
  for (const auto& [path, file] : files) {
    std::string at = directory + "/..data/" + path;
    struct stat info {};
    if (::stat(at.c_str(), &info) != 0 || static_cast<int>(info.st_mode & 0777) != file.mode) return false;
    auto content = read_file(at, 4 << 20);
    if (!content || *content != file.content) return false;
  }
  return true;
}

Result<void> check_host_path(const std::string& path, std::string_view type) {
  struct stat info {};
  bool there = ::stat(path.c_str(), &info) == 0;
  if (type == "DirectoryOrCreate" && !there) return make_directories(path, 0755);
  if (type == "FileOrCreate" && !there) {
    UniqueFd made(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    return made ? Result<void>() : Result<void>(os_error("create", path));
  }
  if (!there) return fail(Code::kNotFound, "hostPath type check failed: {} does not exist", path);
  struct {
    std::string_view type, noun;
    bool fits;
  } const kTypes[] = {{"Directory", "a directory", S_ISDIR(info.st_mode)},   {"DirectoryOrCreate", "a directory", S_ISDIR(info.st_mode)},
                      {"File", "a file", S_ISREG(info.st_mode)},             {"FileOrCreate", "a file", S_ISREG(info.st_mode)},
                      {"Socket", "a socket file", S_ISSOCK(info.st_mode)},   {"CharDevice", "a character device", S_ISCHR(info.st_mode)},
                      {"BlockDevice", "a block device", S_ISBLK(info.st_mode)}};
  for (const auto& [name, noun, fits] : kTypes)
    if (type == name && !fits) return fail(Code::kInvalid, "hostPath type check failed: {} is not {}", path, noun);
  return {};
}

Result<void> make_empty_dir(const std::string& path, const Json& volume, int64_t group, bool root) {
  bool fresh = !fs::exists(path);
  if (auto made = make_directories(path, 0777); !made) return made;
  if (!fresh) return {};
  if (root && str(volume, "emptyDir", "medium") == "Memory") {
    std::string options = "mode=777";
    if (auto size = api::quantity_value(str(volume, "emptyDir", "sizeLimit")); size && *size > 0)
      options += fmt::format(",size={}", *size);
    if (::mount("tmpfs", path.c_str(), "tmpfs", MS_NODEV | MS_NOSUID, options.c_str()) != 0) return os_error("mount", path);
  }
  if (group >= 0 && ::chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(group)) == 0) ::chmod(path.c_str(), 02777);
  return {};
}

std::string host_path_of(const Json& volume) { return std::string(str(volume, "hostPath", "path")); }

}  // namespace

std::vector<TokenRequest> tokens_of(const Json& pod) {
  std::vector<TokenRequest> all;
  for (const Json& volume : array(pod, "spec", "volumes"))
    for (const Json& source : array(volume, "projected", "sources"))
      if (const Json* token = find(source, "serviceAccountToken")) all.push_back(token_request(*token));
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

bool has_files(const Json& volume) {
  return find(volume, "configMap") || find(volume, "secret") || find(volume, "downwardAPI") || find(volume, "projected");
}

Result<VolumeFiles> volume_files(const Json& volume, const VolumeInput& in) {
  VolumeFiles files;
  Result<void> added;
  if (const Json* s = find(volume, "configMap"))
    added = add_object(files, in, *s, str(*s, "name"), false, static_cast<int>(integer_or(*s, 0644, "defaultMode")));
  else if (const Json* s2 = find(volume, "secret"))
    added = add_object(files, in, *s2, str(*s2, "secretName"), true, static_cast<int>(integer_or(*s2, 0644, "defaultMode")));
  else if (const Json* s3 = find(volume, "downwardAPI"))
    added = add_downward(files, in, *s3, static_cast<int>(integer_or(*s3, 0644, "defaultMode")));
  else if (const Json* s4 = find(volume, "projected"))
    added = add_projected(files, in, *s4, static_cast<int>(integer_or(*s4, 0644, "defaultMode")));
  if (!added) return fail(added.error());
  return files;
}

Result<void> publish_files(const std::string& directory, const VolumeFiles& files, int64_t group) {
  if (auto made = make_directories(directory, 0777); !made) return made;
  if (fs::exists(directory + "/..data") && same_files(directory, files)) return {};
  std::error_code ignored;
  fs::path before = fs::read_symlink(directory + "/..data", ignored);
  std::string stamp = "..v1";
  for (int i = 2; fs::exists(directory + "/" + stamp) || before == stamp; ++i) stamp = fmt::format("..v{}", i);
  std::string fresh = directory + "/" + stamp;
  if (auto made = make_directories(fresh, 0755); !made) return made;
  for (const auto& [path, file] : files) {
    std::string at = fresh + "/" + path;
    if (auto made = make_directories(fs::path(at).parent_path(), 0755); !made) return made;
    if (auto written = write_file(at, file.content, group >= 0 ? file.mode | ((file.mode & 0400) >> 3) : file.mode); !written) return written;
    if (group >= 0 && ::chown(at.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(group)) != 0) return os_error("chown", at);
  }
  std::string link = directory + "/..data_new";
  ::unlink(link.c_str());
  if (::symlink(stamp.c_str(), link.c_str()) != 0 || ::rename(link.c_str(), (directory + "/..data").c_str()) != 0)
    return os_error("link", link);
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    std::string name = entry.path().filename();
    bool wanted = std::ranges::any_of(files, [&](const auto& f) { return *fs::path(f.first).begin() == name; });
    if (!name.starts_with("..") && !wanted) fs::remove(entry.path(), ignored);
  }
  for (const auto& [path, file] : files) {
    std::string top = *fs::path(path).begin();
    ::symlink(("..data/" + top).c_str(), (directory + "/" + top).c_str());  // EEXIST: it was there before
  }
  if (!before.empty()) fs::remove_all(directory + "/" + before.string(), ignored);
  return {};
}

Result<void> make_volumes(const std::string& directory, const VolumeInput& in, bool root) {
  int64_t group = root ? integer_or(in.pod, -1, "spec", "securityContext", "fsGroup") : -1;
  if (auto made = make_directories(directory, 0755); !made) return made;
  for (const Json& volume : array(in.pod, "spec", "volumes")) {
    std::string name(str(volume, "name")), path = directory + "/" + name;
    Result<void> made;
    if (has_files(volume)) {
      auto files = volume_files(volume, in);
      made = files ? publish_files(path, *files, group) : Result<void>(fail(files.error()));
    } else if (find(volume, "hostPath") != nullptr) {
      made = check_host_path(host_path_of(volume), str(volume, "hostPath", "type"));
    } else if (find(volume, "emptyDir") != nullptr) {
      made = make_empty_dir(path, volume, group, root);
    } else {
      made = fail(Code::kUnimplemented, "no volume plugin of this node matches");
    }
    if (!made) return fail(made.error().code, "MountVolume.SetUp failed for volume \"{}\" : {}", name, made.error().message);
  }
  return {};
}

Result<std::vector<Mount>> container_mounts(const Json& pod, const Json& container, const std::string& directory,
                                            const Variables& environment) {
  std::vector<Mount> mounts;
  bool privileged = boolean(container, "securityContext", "privileged");
  for (const Json& m : array(container, "volumeMounts")) {
    std::string_view name = str(m, "name");
    const Json* volume = nullptr;
    for (const Json& v : array(pod, "spec", "volumes"))
      if (str(v, "name") == name) volume = &v;
    if (volume == nullptr) return fail(Code::kInvalid, "volume \"{}\" is not defined", name);
    bool host = find(*volume, "hostPath") != nullptr;
    Mount mount;
    mount.source = host ? host_path_of(*volume) : fmt::format("{}/{}", directory, name);
    mount.target = str(m, "mountPath");
    if (!mount.target.starts_with('/')) mount.target = "/" + mount.target;
    mount.read_only = boolean(m, "readOnly") || find(*volume, "configMap") || find(*volume, "secret") ||
                      find(*volume, "projected") || find(*volume, "downwardAPI");
    mount.devices = host && privileged;
    mount.sub_path = str(m, "subPath");
    if (std::string_view expression = str(m, "subPathExpr"); !expression.empty()) mount.sub_path = expand(expression, environment);
    if (!mount.sub_path.empty()) {
      if (!is_inside(mount.sub_path)) return fail(Code::kInvalid, "subPath \"{}\" is not inside the volume", mount.sub_path);
      std::string at = mount.source + "/" + mount.sub_path;
      if (!has_files(*volume) && !fs::exists(at))
        if (auto made = make_directories(at, 0777); !made) return fail(made.error());
    }
    mounts.push_back(std::move(mount));
  }
  // A volume mounted inside another comes after it.
  std::ranges::sort(mounts, [](const Mount& a, const Mount& b) {
    return std::pair(a.target.size(), std::string_view(a.target)) < std::pair(b.target.size(), std::string_view(b.target));
  });
  return mounts;
}

}  // namespace rs::node
