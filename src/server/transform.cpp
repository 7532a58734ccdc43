// The forms an answer can take: the object itself, Table, PartialObjectMetadata; JSON, YAML, protobuf.
#include "api/table.h"
#include "server/list.h"

namespace rs::server {
namespace {
constexpr std::string_view kMetaGroup = "meta.k8s.io/";

Json row_of(const api::Kind& kind, const Accepted& accepted, IncludeObject include, Json object, WallTime now) {
  JsonObject row = api::table_row(kind, object, now);
  if (include == IncludeObject::kObject) row["object"] = std::move(object);
  else if (include == IncludeObject::kMetadata) row["object"] = partial_metadata(object, accepted);
  return row;
}

Json table_frame(const api::Kind& kind, const Accepted& accepted, bool columns, std::string_view revision) {
  JsonObject table;
  table["kind"] = "Table";
  table["apiVersion"] = std::string(kMetaGroup) + accepted.version;
  JsonObject metadata;
  if (!revision.empty()) metadata["resourceVersion"] = revision;
  table["metadata"] = std::move(metadata);
  if (columns) table["columnDefinitions"] = api::table_columns(kind);
  else table["columnDefinitions"] = nullptr;
  return table;
}
}  // namespace

Json partial_metadata(const Json& object, const Accepted& accepted) {
  JsonObject out;
  out["kind"] = "PartialObjectMetadata";
  out["apiVersion"] = std::string(kMetaGroup) + accepted.version;
  const Json* metadata = find(object, "metadata");
  out["metadata"] = metadata == nullptr ? Json(JsonObject()) : *metadata;
  return out;
}

Json table_of(const api::Kind& kind, const Accepted& accepted, IncludeObject include, bool columns,
              const std::vector<ObjectPtr>& objects, WallTime now, std::string_view revision) {
  Json table = table_frame(kind, accepted, columns, revision);
  JsonArray rows;
  rows.reserve(objects.size());
  for (const ObjectPtr& object : objects) rows.push_back(row_of(kind, accepted, include, object->tree(), now));
  table.get_object()["rows"] = std::move(rows);
  return table;
}

Result<net::Response> object_response(const api::Kind& kind, int status, const Accepted& accepted, const RequestInfo& info,
                                      const Bytes& bytes, WallTime now) {
  net::Response response;
  response.status = status;
  response.headers.add("Content-Type", content_type(accepted));
  bool pretty = is_true(info.target.param("pretty"));
  if (accepted.as == Accepted::As::kObject && accepted.media == api::MediaType::kJson && !pretty) {
    response.body = *bytes;
    return response;
  }
  auto parsed = parse_json(*bytes);
  if (!parsed) return std::unexpected(parsed.error());
  Json object = std::move(*parsed);
  // A Status (of a deletion) is never shown as a table.
  bool transforms = str(object, "kind") == kind.kind;
  if (transforms && accepted.as == Accepted::As::kTable) {
    std::string revision(str(object, "metadata", "resourceVersion"));
    Json table = table_frame(kind, accepted, true, revision);
    JsonArray rows;
    rows.push_back(row_of(kind, accepted, include_object(info), std::move(object), now));
    table.get_object()["rows"] = std::move(rows);
    object = std::move(table);
  } else if (transforms && accepted.as != Accepted::As::kObject) {
    object = partial_metadata(object, accepted);
  }
  if (accepted.media == api::MediaType::kProtobuf) {
    auto encoded = api::encode_protobuf(object);
    if (!encoded) return std::unexpected(encoded.error());
    response.body = std::move(*encoded);
  } else if (accepted.media == api::MediaType::kYaml) {
    response.body = api::to_yaml(object);
  } else {
    response.body = (pretty ? to_pretty_text(object) : to_text(object)) + "\n";
  }
  return response;
}

}  // namespace rs::server
