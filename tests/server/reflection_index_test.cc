#include "server/reflection_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/logging.h"
#include "google/protobuf/descriptor.pb.h"
#include "neumf/v1/recommendation_service.pb.h"

namespace neumf {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;
using testing::ElementsAre;
using testing::IsEmpty;

void AddExtension(int number, FileDescriptorProto* file) {
  FieldDescriptorProto* const extension = file->add_extension();
  extension->set_name("extension" + std::to_string(number));
  extension->set_number(number);
  extension->set_extendee("p.Open");
  extension->set_type(FieldDescriptorProto::TYPE_INT32);
  extension->set_label(FieldDescriptorProto::LABEL_OPTIONAL);
}

// "base" is imported by "left" and "right", and all of them by "top".
class ReflectionIndexTest : public testing::Test {
 protected:
  ReflectionIndexTest() {
    FileDescriptorProto base = NewFile("base", {});
    auto* const open = base.add_message_type();
    open->set_name("Open");
    auto* const range = open->add_extension_range();
    range->set_start(100);
    range->set_end(200);
    base.add_message_type()->set_name("Closed");
    Build(base);
    FileDescriptorProto left = NewFile("left", {"base"});
    AddExtension(101, &left);
    Build(left);
    FileDescriptorProto right = NewFile("right", {"base"});
    AddExtension(100, &right);
    Build(right);
    FileDescriptorProto top = NewFile("top", {"left", "right", "base"});
    auto* const service = top.add_service();
    service->set_name("Service");
    auto* const method = service->add_method();
    method->set_name("Call");
    method->set_input_type("p.Open");
    method->set_output_type("p.Closed");
    Build(top);
  }

  static FileDescriptorProto NewFile(const std::string& name,
                                     const std::vector<std::string>& imports) {
    FileDescriptorProto file;
    file.set_name(name);
    file.set_package("p");
    for (const std::string& import : imports) file.add_dependency(import);
    return file;
  }

  void Build(const FileDescriptorProto& file) {
    NEUMF_CHECK(pool_.BuildFile(file) != nullptr);
  }

  // Their names, or that of the error's code.
  static std::vector<std::string> NamesOf(
      const absl::StatusOr<ReflectionIndex::Files>& files) {
    if (!files.ok()) return {absl::StatusCodeToString(files.status().code())};
    std::vector<std::string> names;
    names.reserve(files->size());
    for (const std::string& bytes : *files) {
      FileDescriptorProto file;
      EXPECT_TRUE(file.ParseFromString(bytes));
      names.push_back(file.name());
    }
    return names;
  }

  DescriptorPool pool_;
  const ReflectionIndex index_{{"p.Service"}, &pool_};
};

TEST_F(ReflectionIndexTest, ListsTheServicesThatItWasTold) {
  EXPECT_THAT(index_.services(), ElementsAre("p.Service"));
}

TEST_F(ReflectionIndexTest, AFileComesFirstAndItsImportsOnce) {
  EXPECT_THAT(NamesOf(index_.FileByName("base")), ElementsAre("base"));
  EXPECT_THAT(NamesOf(index_.FileByName("top")),
              ElementsAre("top", "left", "right", "base"));
}

TEST_F(ReflectionIndexTest, SaysTheSameOfAFileEachTime) {
  const auto first = index_.FileByName("top");
  const auto again = index_.FileContainingSymbol("p.Service");
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(*first, *again);
}

TEST_F(ReflectionIndexTest, FindsWhatDeclaresASymbol) {
  EXPECT_THAT(NamesOf(index_.FileContainingSymbol("p.Closed")),
              ElementsAre("base"));
  for (const char* symbol : {"p.Service", "p.Service.Call"}) {
    EXPECT_THAT(NamesOf(index_.FileContainingSymbol(symbol)),
                ElementsAre("top", "left", "right", "base"));
  }
}

TEST_F(ReflectionIndexTest, FindsWhatDeclaresAnExtension) {
  EXPECT_THAT(NamesOf(index_.FileContainingExtension("p.Open", 101)),
              ElementsAre("left", "base"));
}

TEST_F(ReflectionIndexTest, ListsTheExtensionsOfAMessage) {
  const auto numbers = index_.ExtensionNumbers("p.Open");
  ASSERT_TRUE(numbers.ok());
  EXPECT_THAT(*numbers, ElementsAre(100, 101));
  const auto none = index_.ExtensionNumbers("p.Closed");
  ASSERT_TRUE(none.ok());
  EXPECT_THAT(*none, IsEmpty());
}

TEST_F(ReflectionIndexTest, WhatIsNotThereIsNotFound) {
  for (const auto& files :
       {index_.FileByName("no"), index_.FileByName(""),
        index_.FileContainingSymbol("p.No"), index_.FileContainingSymbol(""),
        index_.FileContainingExtension("p.No", 101),
        index_.FileContainingExtension("p.Service", 101),
        index_.FileContainingExtension("p.Open", 102),
        index_.FileContainingExtension("p.Open", -1)}) {
    EXPECT_THAT(NamesOf(files), ElementsAre("NOT_FOUND"));
  }
  EXPECT_TRUE(absl::IsNotFound(index_.ExtensionNumbers("p.No").status()));
}

TEST(ReflectionIndexOfProgramTest, KnowsItsOwnServices) {
  const ReflectionIndex index({});
  const auto files =
      index.FileByName(v1::RecommendRequest::descriptor()->file()->name());
  ASSERT_TRUE(files.ok());
  FileDescriptorProto expected;
  v1::RecommendRequest::descriptor()->file()->CopyTo(&expected);
  EXPECT_EQ(files->front(), expected.SerializeAsString());
}

}  // namespace
}  // namespace neumf
