#include "server/negotiate.h"

namespace rs::server {
namespace {
constexpr size_t kClauseLimit = 32;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<api::MediaType> media_of(std::string_view type) {
  if (type == "application/json" || type == "*/*" || type == "application/*" || type.empty()) return api::MediaType::kJson;
  if (type == "application/yaml") return api::MediaType::kYaml;
  if (type == "application/vnd.kubernetes.protobuf") return api::MediaType::kProtobuf;
  return std::nullopt;
}

std::optional<Accepted> accept_clause(const MediaClause& clause) {
  auto media = media_of(clause.type);
  if (!media) return std::nullopt;
  Accepted out;
  out.media = *media;
  std::string_view as = clause.parameter("as");
  if (as.empty()) return out;
  std::string_view version = clause.parameter("v");
  if (clause.parameter("g") != "meta.k8s.io" || (version != "v1" && version != "v1beta1")) return std::nullopt;
  out.version = version;
  if (as == "Table") out.as = Accepted::As::kTable;
  else if (as == "PartialObjectMetadata") out.as = Accepted::As::kPartial;
  else if (as == "PartialObjectMetadataList") out.as = Accepted::As::kPartialList;
  else return std::nullopt;
  return out;
}
}  // namespace

std::string_view MediaClause::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return value;
  return {};
}

std::vector<MediaClause> parse_accept(std::string_view header) {
  std::vector<MediaClause> out;
  while (!header.empty() && out.size() < kClauseLimit) {
    size_t comma = header.find(',');
    std::string_view text = trimmed(header.substr(0, comma));
    header = comma == std::string_view::npos ? std::string_view() : header.substr(comma + 1);
    MediaClause clause;
    size_t semicolon = text.find(';');
    clause.type = trimmed(text.substr(0, semicolon));
    while (semicolon != std::string_view::npos) {
      text = text.substr(semicolon + 1);
      semicolon = text.find(';');
      std::string_view parameter = trimmed(text.substr(0, semicolon));
      size_t equals = parameter.find('=');
      if (equals != std::string_view::npos)
        clause.parameters.emplace_back(trimmed(parameter.substr(0, equals)), trimmed(parameter.substr(equals + 1)));
    }
    if (!clause.type.empty()) out.push_back(std::move(clause));
  }
  return out;
}

Result<Accepted> negotiate(const net::Headers& headers) {
  std::string header;
  for (std::string_view value : headers.all("Accept")) (header += header.empty() ? "" : ",") += value;
  if (header.empty()) return Accepted();
  std::optional<Accepted> protobuf;
  for (const MediaClause& clause : parse_accept(header)) {
    auto accepted = accept_clause(clause);
    if (!accepted) continue;
    if (accepted->media != api::MediaType::kProtobuf) return *accepted;
    if (!protobuf) protobuf = accepted;
  }
  if (protobuf && protobuf->as == Accepted::As::kObject) return *protobuf;
  return fail(Code::kNotAcceptable,
              "only the following media types are accepted: application/json, application/yaml, "
              "application/vnd.kubernetes.protobuf");
}

std::string content_type(const Accepted& accepted) {
  switch (accepted.media) {
    case api::MediaType::kYaml: return "application/yaml";
    case api::MediaType::kProtobuf: return "application/vnd.kubernetes.protobuf";
    case api::MediaType::kJson: break;
  }
  return "application/json";
}

Result<api::MediaType> body_type(const net::Headers& headers) {
  std::string_view header = headers.get("Content-Type");
  auto media = media_of(trimmed(header.substr(0, header.find(';'))));
  if (media) return *media;
  return fail(Code::kUnsupportedMediaType,
              "the body of the request was in an unknown format - accepted media types include: application/json, "
              "application/yaml, application/vnd.kubernetes.protobuf");
}

}  // namespace rs::server
