// Expected messages: a kube-apiserver 1.32 for the same bodies (apiserver pkg/endpoints/handlers, sigs.k8s.io/json,
// test/integration/apiserver/field_validation_test.go).
#include "api/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/codec/json_reader.h"
#include "api/quantity.h"

namespace rs::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Kind& kind(std::string_view group, std::string_view name) { return *builtin_kinds().by_kind(group, "v1", name); }

Json decoded(MediaType type, std::string_view body, const Kind& of) {
  auto result = decode_object(type, body, &of, FieldValidation::kStrict);
  EXPECT_TRUE(result) << to_string(result.error());
  return result ? result->object : Json();
}
std::string refusal(MediaType type, std::string_view body, const Kind& of,
                    FieldValidation validation = FieldValidation::kStrict) {
  auto result = decode_object(type, body, &of, validation);
  EXPECT_FALSE(result);
  if (result) return to_text(result->object);
  EXPECT_EQ(result.error().code, Code::kBadRequest);
  return result.error().message;
}

TEST(DecodeJson, CompletesAndNormalises) {
  Json pod = decoded(MediaType::kJson, R"({"metadata":{"name":"a","labels":null,"creationTimestamp":null,"annotations":{}},
      "spec":{"hostNetwork":false,"nodeName":"","automountServiceAccountToken":false,
              "containers":[{"name":"c","resources":{"requests":{"cpu":0.5,"memory":"1024Mi"}}}]}})", kind("", "Pod"));
  EXPECT_EQ(encode_canonical(pod),
            R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"automountServiceAccountToken":false,)"
            R"("containers":[{"name":"c","resources":{"requests":{"cpu":"500m","memory":"1Gi"}}}]},"status":{}})");
}

TEST(DecodeJson, RequiredMembersAppearEmpty) {
  Json slice = decoded(MediaType::kJson, R"({"metadata":{"name":"a"},"endpoints":null})",
                       *builtin_kinds().by_kind("discovery.k8s.io", "v1", "EndpointSlice"));
  EXPECT_EQ(encode_canonical(slice), R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"a"},)"
                                     R"("addressType":"","endpoints":[],"ports":[]})");
}

TEST(DecodeJson, UnknownAndDuplicateFields) {
  std::string_view body = R"({"metadata":{"name":"a","name":"b"},"spec":{"replica":1,"template":{"spec":
      {"containers":[{"name":"c","imagee":"x"}]}}},"data":{"a":1}})";
  const Kind& deployment = kind("apps", "Deployment");
  EXPECT_EQ(refusal(MediaType::kJson, body, deployment),
            "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: "
            "duplicate field \"metadata.name\", unknown field \"spec.replica\", "
            "unknown field \"spec.template.spec.containers[0].imagee\", unknown field \"data\"");
  auto warned = decode_object(MediaType::kJson, body, &deployment, FieldValidation::kWarn);
  ASSERT_TRUE(warned);
  EXPECT_THAT(warned->warnings,
              ElementsAre("duplicate field \"metadata.name\"", "unknown field \"spec.replica\"",
                          "unknown field \"spec.template.spec.containers[0].imagee\"", "unknown field \"data\""));
  EXPECT_EQ(str(warned->object, "metadata", "name"), "b");
  EXPECT_EQ(find(warned->object, "spec", "replica"), nullptr);
  auto ignored = decode_object(MediaType::kJson, body, &deployment, FieldValidation::kIgnore);
  ASSERT_TRUE(ignored);
  EXPECT_TRUE(ignored->warnings.empty());
  EXPECT_EQ(ignored->object, warned->object);
}

TEST(DecodeJson, ManyUnknownFieldsAreNotQuadratic) {
  std::string body = R"({"metadata":{"name":"a"})";
  for (int i = 0; i < 200'000; ++i) body += fmt::format(",\"x{}\":1", i);
  auto decoded = decode_object(MediaType::kJson, body + "}", &kind("", "ConfigMap"), FieldValidation::kWarn);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->warnings.size(), 100u);
  EXPECT_EQ(decoded->object.get_object().size(), 3u);
}

TEST(DecodeJson, FieldNamesAreCaseSensitive) {
  EXPECT_THAT(refusal(MediaType::kJson, R"({"Metadata":{"name":"a"}})", kind("", "ConfigMap")),
              HasSubstr("unknown field \"Metadata\""));
}

TEST(DecodeJson, WrongTypesInGosWords) {
  const Kind& deployment = kind("apps", "Deployment");
  std::string frame = "Deployment in version \"v1\" cannot be handled as a Deployment: ";
  EXPECT_EQ(refusal(MediaType::kJson, R"({"spec":{"replicas":"3"}})", deployment),
            frame + "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"spec":{"replicas":3000000000}})", deployment),
            frame + "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"spec":{"replicas":1.5}})", deployment),
            frame + "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32");
  EXPECT_EQ(refusal(MediaType::kJson,
                    R"({"spec":{"template":{"spec":{"containers":[{"env":[{"name":"A","value":1}]}]}}}})", deployment),
            frame + "json: cannot unmarshal number into Go struct field "
                    "EnvVar.spec.template.spec.containers.env.value of type string");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"spec":[]})", deployment),
            frame + "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"data":{"a":1}})", kind("", "ConfigMap")),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct "
            "field ConfigMap.data of type string");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"spec":{"containers":[{"resources":{"limits":{"cpu":"x"}}}]}})", kind("", "Pod")),
            "Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

TEST(DecodeJson, SyntaxErrors) {
  const Kind& pod = kind("", "Pod");
  std::string frame = "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: ";
  EXPECT_EQ(refusal(MediaType::kJson, "", pod), frame + "unexpected end of JSON input (<empty>)");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"a":1,})", pod),
            frame + "invalid character '}' looking for beginning of object key string ({\"a\":1,})");
  EXPECT_EQ(refusal(MediaType::kJson, "kind: Pod", pod), frame + "invalid character 'k' looking for beginning of value (6b696e643a20506f64)");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"a":"b)", pod), frame + "unexpected end of JSON input ({\"a\":\"b)");
  EXPECT_EQ(refusal(MediaType::kJson, "{} x", pod), frame + "invalid character 'x' after top-level value ({} x)");
  EXPECT_THAT(refusal(MediaType::kJson, std::string(100'000, '['), pod), HasSubstr("exceeded max depth"));
  EXPECT_THAT(refusal(MediaType::kJson, "[1]", pod), HasSubstr("json: cannot unmarshal array into Go value of type struct"));
}

TEST(DecodeJson, OtherKindsAreRefused) {
  const Kind& pod = kind("", "Pod");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"apiVersion":"apps/v1","kind":"Pod"})", pod),
            "Pod in version \"v1\" cannot be handled as a Pod: no kind \"Pod\" is registered for version \"apps/v1\" in scheme "
            "\"pkg/api/legacyscheme/scheme.go:30\"");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"apiVersion":"v1","kind":"Service"})", pod),
            "Service in version \"v1\" cannot be handled as a Pod: converting (v1.Service) to (core.Pod): unknown conversion");
  EXPECT_EQ(refusal(MediaType::kJson, R"({"apiVersion":"events.k8s.io/v1","kind":"Event"})", kind("", "Event")),
            "the API version in the data (events.k8s.io/v1) does not match the expected API version (v1)");
  auto any = decode_object(MediaType::kJson, R"({"apiVersion":"v1","kind":"Secret","data":{"a":"YQ=="}})", nullptr,
                           FieldValidation::kStrict);
  ASSERT_TRUE(any);
  EXPECT_EQ(str(any->object, "kind"), "Secret");
  EXPECT_EQ(decode_object(MediaType::kJson, R"({"apiVersion":"v1"})", nullptr, FieldValidation::kStrict).error().message,
            "Object 'Kind' is missing in '{\"apiVersion\":\"v1\"}'");
}

TEST(ReadJson, StringsNumbersAndDuplicates) {
  std::vector<std::string> duplicates;
  auto tree = read_json(R"({"a":"\u00e9\ud83d\ude00\ud800\n","b":[1,-0,1.5,1e3,9223372036854775808],"c":[{"x":1,"x":2}]})", &duplicates);
  ASSERT_TRUE(tree) << to_string(tree.error());
  EXPECT_EQ(str(*tree, "a"), "é😀\xef\xbf\xbd\n");
  EXPECT_EQ(array(*tree, "b")[2].get_double(), 1.5);
  EXPECT_THAT(duplicates, ElementsAre("c[0].x"));
  auto bad = read_json("[\"\xff\xc0\x80\"]", nullptr);
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->get_array()[0].get_string(), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  for (std::string_view text : {"01", "1.", "-", "1e", "tru", "nul", "\"\\x\"", "\"\\u12g4\"", "[1 2]", "{\"a\" 1}", "\"\n\""})
    EXPECT_FALSE(read_json(text, nullptr)) << text;
}

TEST(ReadYaml, ScalarsAreYaml11) {
  auto tree = parse_yaml(R"(
on: yes
a: [yes, No, on, OFF, true, ~, null, "", "yes", 'null', y]
numbers: [1, 0x1f, 0o17, 017, 0b11, -5, +5, 1_000, 1.5, .5, 1e3, 1e+3, 12:30, 2026-01-02, 1.2.3, 08]
s: |
  line
  two
f: >-
  one
  two
1: x
)");
  ASSERT_TRUE(tree) << to_string(tree.error());
  EXPECT_EQ(to_text(*find(*tree, "a")), R"([true,false,true,false,true,null,null,"","yes","null",true])");
  EXPECT_EQ(to_text(*find(*tree, "numbers")),
            R"([1,31,15,15,3,-5,5,1000,1.5E0,5E-1,1E3,1E3,"12:30","2026-01-02","1.2.3",8E0])");
  EXPECT_EQ(str(*tree, "s"), "line\ntwo\n");
  EXPECT_EQ(str(*tree, "f"), "one two");
  EXPECT_EQ(str(*tree, "1"), "x");
  EXPECT_TRUE(boolean(*tree, "true"));
}

TEST(ReadYaml, DocumentsAnchorsAndMerges) {
  auto documents = parse_yaml_documents("a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, k: 3}\n---\n---\n# nothing\n---\nd: 1\n");
  ASSERT_TRUE(documents) << to_string(documents.error());
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ((*documents)[0], parse_json(R"({"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"k":3,"l":2}})").value());
  EXPECT_FALSE(parse_yaml("a: *missing"));
  EXPECT_FALSE(parse_yaml("a: &a [*a]"));
  std::string laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    laughs += fmt::format("a{}: &a{} [", i, i);
    for (int j = 0; j < 10; ++j) laughs += fmt::format("*a{}{}", i - 1, j < 9 ? "," : "]\n");
  }
  auto bomb = parse_yaml(laughs);
  ASSERT_FALSE(bomb);
  EXPECT_THAT(bomb.error().message, HasSubstr("excessive aliasing"));
}

TEST(ReadYaml, DuplicateKeysNameTheirLine) {
  EXPECT_EQ(parse_yaml("a: 1\nb: 2\na: 3\n").error().message, "yaml: unmarshal errors:\n  line 3: key \"a\" already set in map");
  std::string_view body = "kind: ConfigMap\napiVersion: v1\ndata:\n  a: x\n  a: z\nzoo: 1\nbar: 1\n";
  EXPECT_EQ(refusal(MediaType::kYaml, body, kind("", "ConfigMap")),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n"
            "  line 5: key \"a\" already set in map, unknown field \"bar\", unknown field \"zoo\"");
  auto warned = decode_object(MediaType::kYaml, body, &kind("", "ConfigMap"), FieldValidation::kWarn);
  ASSERT_TRUE(warned);
  EXPECT_THAT(warned->warnings, ElementsAre("line 5: key \"a\" already set in map", "unknown field \"bar\"", "unknown field \"zoo\""));
  EXPECT_EQ(str(warned->object, "data", "a"), "z");
}

TEST(ReadYaml, DeepNestingIsRefused) {
  EXPECT_FALSE(parse_yaml(std::string(100'000, '[')));
  EXPECT_FALSE(parse_yaml(std::string(100'000, '{')));
  std::string nested;
  for (int i = 0; i < 600; ++i) nested += std::string(size_t(i), ' ') + "a:\n";
  EXPECT_FALSE(parse_yaml(nested));
}

TEST(WriteYaml, ReadsBackTheSame) {
  Json tree = parse_json(R"({"a":"yes","b":"1","c":"","d":"x: y","e":"#no","f":["-",{"g":[]},[1,[2]],{}],"h":"two\nlines\n",
      "i":"no end\nhere","j":" lead","k":null,"l":1.5,"m":true,"n":"0x1","o":"1e3","p":"~","q":"a\tb","r":"é","s":"- x",
      "t":"10.0.0.1","u":"10.0.0.0/8","v":"2026-01-02T00:00:00Z","w":"\n","x":"a\n\n","y":"trail \nx","key: odd":"*a","on":"off",
      "z":"a #b","aa":"1_000","bb":"...","cc":"---","dd":"\u0001","ee":"'q'","ff":"!x","gg":"0o7","hh":"12:30:00"})").value();
  std::string text = to_yaml(tree);
  auto again = parse_yaml(text);
  ASSERT_TRUE(again) << to_string(again.error()) << text;
  EXPECT_EQ(*again, tree) << text;
  EXPECT_EQ(to_yaml(parse_json(R"({"a":{"b":[{"c":1,"d":[]}]},"e":{}})").value()), "a:\n  b:\n  - c: 1\n    d: []\ne: {}\n");
}

TEST(Protobuf, UnknownKindsAndGarbageAreRefused) {
  EXPECT_EQ(refusal(MediaType::kProtobuf, "{}", kind("", "Pod")),
            "the object provided is unrecognized (must be of type Pod): provided data does not appear to be a protobuf "
            "message, expected prefix [107 56 115 0] ({})");
  auto pod = encode_protobuf(parse_json(R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c"}]}})").value());
  ASSERT_TRUE(pod);
  for (size_t cut = 4; cut < pod->size(); ++cut) (void)decode_protobuf(std::string_view(*pod).substr(0, cut));
  EXPECT_EQ(encode_canonical(decode_object(MediaType::kProtobuf, *pod, &kind("", "Pod"), FieldValidation::kStrict)->object),
            R"({"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[{"name":"c","resources":{}}]},"status":{}})");
  EXPECT_FALSE(encode_protobuf(parse_json(R"({"apiVersion":"x/v1","kind":"Y"})").value()));
}

TEST(Canonical, IsStableAndTakesItsResourceVersionWithoutParsing) {
  Json a = parse_json(R"({"spec":{"b":1,"a":0.5},"metadata":{"resourceVersion":"7","name":"x\"metadata\":{"},"kind":"K","apiVersion":"v1"})").value();
  std::string stored = encode_canonical(a);
  EXPECT_EQ(stored, R"({"apiVersion":"v1","kind":"K","metadata":{"name":"x\"metadata\":{"},"spec":{"a":0.5,"b":1}})");
  EXPECT_EQ(with_resource_version(stored, 42),
            R"({"apiVersion":"v1","kind":"K","metadata":{"resourceVersion":"42","name":"x\"metadata\":{"},"spec":{"a":0.5,"b":1}})");
  EXPECT_EQ(with_resource_version(R"({"apiVersion":"v1","kind":"K","metadata":{}})", 1),
            R"({"apiVersion":"v1","kind":"K","metadata":{"resourceVersion":"1"}})");
}

// apimachinery pkg/api/resource/quantity_test.go
TEST(Quantity, CanonicalForms) {
  auto canonical = [](std::string_view text) {
    auto quantity = Quantity::parse(text);
    return quantity ? quantity->canonical() : "malformed";
  };
  for (auto [text, expected] : std::vector<std::pair<std::string_view, std::string_view>>{
           {"0", "0"}, {"1", "1"}, {"1000m", "1"}, {"0.5", "500m"}, {"100m", "100m"}, {"1024Mi", "1Gi"}, {"1Ki", "1Ki"},
           {"0.5Ki", "512"}, {"1.5Gi", "1536Mi"}, {"1000", "1k"}, {"1500k", "1500k"}, {"1e3", "1e3"}, {"12e6", "12e6"},
           {"1E", "1E"}, {"0.1n", "1n"}, {"-1", "-1"}, {"+5M", "5M"}, {".5", "500m"}, {"1.", "1"}, {"100000Mi", "100000Mi"},
           {"0.001Ki", "1024m"}, {"9223372036854775807", "9223372036854775807"}, {"99999999999999999999Ei", "9223372036854775807"},
           {"1E6", "1e6"}, {"100e-3", "100e-3"}, {"", "malformed"}, {"x", "malformed"}, {"1.2.3", "malformed"},
           {"1 Gi", "malformed"}, {"1gi", "malformed"}, {"-", "malformed"}, {"1e", "malformed"}, {"1i", "malformed"}})
    EXPECT_EQ(canonical(text), expected) << text;
}

}  // namespace
}  // namespace rs::api
