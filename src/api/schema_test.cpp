// Expected facts: Kubernetes v1.32 types.go and generated.proto.
#include "api/schema.h"

#include <gtest/gtest.h>

#include "api/kind.h"

namespace rs::api {
namespace {

TEST(Schema, KnowsEveryTypeAndItsReferences) {
  EXPECT_GT(all_types().size(), 540u);
  for (const TypeInfo* type : all_types()) {
    EXPECT_EQ(find_type(type->group_version, type->name), type) << type->openapi_name();
    for (const FieldInfo& field : type->fields) EXPECT_EQ(type->field(field.name)->name, field.name);
  }
}

TEST(Schema, FieldsCarryWhatPatchesAndApplyNeed) {
  const TypeInfo* spec = find_type("v1", "PodSpec");
  ASSERT_NE(spec, nullptr);
  const FieldInfo* containers = spec->field("containers");
  ASSERT_NE(containers, nullptr);
  EXPECT_EQ(containers->number, 2);
  EXPECT_EQ(containers->shape, Shape::kList);
  EXPECT_EQ(containers->type->name, "Container");
  EXPECT_EQ(containers->list_type, ListType::kMap);
  EXPECT_EQ(containers->list_keys, std::vector<std::string_view>{"name"});
  EXPECT_TRUE(containers->patch_merge);
  EXPECT_EQ(containers->patch_merge_key, "name");
  EXPECT_TRUE(spec->field("volumes")->patch_retain_keys);
  EXPECT_TRUE(spec->field("nodeSelector")->atomic());
  EXPECT_TRUE(spec->field("tolerations")->atomic());
  const TypeInfo* container = containers->type;
  EXPECT_EQ(container->field("ports")->list_keys, (std::vector<std::string_view>{"containerPort", "protocol"}));
  EXPECT_EQ(container->field("ports")->type->field("protocol")->default_value, "\"TCP\"");
  EXPECT_FALSE(container->field("resources")->atomic());
  EXPECT_TRUE(find_type("apps/v1", "DeploymentSpec")->field("selector")->atomic());
  EXPECT_EQ(find_type("apps/v1", "DeploymentSpec")->field("template")->type, find_type("v1", "PodTemplateSpec"));
  EXPECT_EQ(spec->field("restartPolicy")->enum_values.size(), 3u);
}

TEST(Schema, InlinedTypesAreFlatInJsonAndNestedInProtobuf) {
  const TypeInfo* volume = find_type("v1", "Volume");
  EXPECT_NE(volume->field("emptyDir"), nullptr);
  EXPECT_EQ(volume->field_by_number(2), nullptr);
  ASSERT_EQ(volume->inlines.size(), 1u);
  EXPECT_EQ(volume->inlines[0].number, 2);
  EXPECT_EQ(volume->inlines[0].type->field_by_number(2)->name, "emptyDir");
}

TEST(Schema, SharedTypesAreFoundInEveryGroup) {
  EXPECT_EQ(find_type("policy/v1", "DeleteOptions"), find_type("meta/v1", "DeleteOptions"));
  EXPECT_EQ(find_type("v1", "NoSuchType"), nullptr);
}

TEST(Kinds, HaveWhatDiscoveryShows) {
  const KindTable& kinds = builtin_kinds();
  const Kind* deployment = kinds.by_resource("apps", "v1", "deployments");
  ASSERT_NE(deployment, nullptr);
  EXPECT_EQ(deployment->singular, "deployment");
  EXPECT_EQ(deployment->short_names, std::vector<std::string>{"deploy"});
  EXPECT_TRUE(deployment->has_status && deployment->has_generation && deployment->namespaced);
  ASSERT_NE(deployment->subresource("scale"), nullptr);
  EXPECT_EQ(deployment->subresource("scale")->group, "autoscaling");
  EXPECT_EQ(deployment->subresource("scale")->kind, "Scale");
  const Kind* ns = kinds.by_kind("", "v1", "Namespace");
  ASSERT_NE(ns, nullptr);
  EXPECT_FALSE(ns->namespaced);
  EXPECT_EQ(std::ranges::count(ns->verbs, "deletecollection"), 0);
  EXPECT_NE(kinds.by_kind("policy", "v1", "Eviction"), nullptr);
  EXPECT_EQ(kinds.by_resource("apps", "v1", "statefulsets"), nullptr);
  EXPECT_NE(known_kinds().by_resource("apps", "v1", "statefulsets"), nullptr);
  for (const auto& kind : kinds.all()) EXPECT_FALSE(kind->plural.empty()) << kind->kind;
}

TEST(Kinds, EventsOfBothGroupsAreOneObject) {
  const Kind* core = builtin_kinds().by_kind("", "v1", "Event");
  const Kind* events = builtin_kinds().by_kind("events.k8s.io", "v1", "Event");
  Json object = parse_json(R"({"apiVersion":"v1","kind":"Event","metadata":{"name":"a"},"message":"m","count":2,
                               "involvedObject":{"kind":"Pod"}})").value();
  Json other = convert_stored(*core, *events, object);
  EXPECT_EQ(str(other, "note"), "m");
  EXPECT_EQ(str(other, "regarding", "kind"), "Pod");
  EXPECT_EQ(str(other, "apiVersion"), "events.k8s.io/v1");
  Json back = convert_stored(*events, *core, other);
  for (std::string_view name : {"message", "count", "kind", "apiVersion"})
    EXPECT_EQ(back.get_object().at(name), object.get_object().at(name)) << name;
  EXPECT_EQ(str(back, "involvedObject", "kind"), "Pod");
  EXPECT_NE(find(back, "reportingComponent"), nullptr);
}

}  // namespace
}  // namespace rs::api
