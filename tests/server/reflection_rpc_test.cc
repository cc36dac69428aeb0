// Reflection: streams of questions, and how they end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/reflection_call.h"
#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/support/eventually.h"

namespace neumf {
namespace {

using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

constexpr char kService[] = "neumf.v1.RecommendationService";

// One stream, of either version.
template <typename Api, typename Request, typename Response>
class Questions {
 public:
  explicit Questions(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(Api::NewStub(channel)),
        stream_(stub_->ServerReflectionInfo(context_.get())) {}

  // The answer, which is empty when the stream has ended.
  Response Ask(const Request& question) {
    Response answer;
    if (!stream_->Write(question) || !stream_->Read(&answer)) return {};
    return answer;
  }
  std::vector<std::string> Services() {
    Request question;
    question.set_list_services("*");
    std::vector<std::string> names;
    const Response answer = Ask(question);
    for (const auto& service : answer.list_services_response().service()) {
      names.push_back(service.name());
    }
    return names;
  }
  grpc::Status Finish() {
    stream_->WritesDone();
    return Await();
  }
  // The end that the server, or Cancel(), brings about.
  grpc::Status Await() {
    Response answer;
    while (stream_->Read(&answer)) continue;
    return stream_->Finish();
  }
  void Cancel() { context_->TryCancel(); }

 private:
  const std::unique_ptr<grpc::ClientContext> context_ = PatientContext();
  const std::unique_ptr<typename Api::Stub> stub_;
  const std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
};

using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using NewQuestions =
    Questions<grpc::reflection::v1::ServerReflection, ServerReflectionRequest,
              ServerReflectionResponse>;
using OldQuestions =
    Questions<grpc::reflection::v1alpha::ServerReflection,
              grpc::reflection::v1alpha::ServerReflectionRequest,
              grpc::reflection::v1alpha::ServerReflectionResponse>;

class ReflectionRpcTest : public testing::Test {
 protected:
  void Start() {
    server_.Publish(MakeTinyModel({}));
    server_.Start();
  }

  double Count(const std::string& name, MetricLabels labels = {},
               const std::string& version = "v1") {
    labels["grpc_type"] = "bidi_stream";
    labels["grpc_service"] = "grpc.reflection." + version + ".ServerReflection";
    labels["grpc_method"] = "ServerReflectionInfo";
    return ReadMetric(server_.server().counters(), name, labels);
  }
  double CountEnds(const std::string& code) {
    return Count("grpc_server_handled_total", {{"grpc_code", code}});
  }

  RunningServer server_;
};

TEST_F(ReflectionRpcTest, BothVersionsListTheServicesOfTheListener) {
  Start();
  const auto services = UnorderedElementsAre(
      kService, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection");
  EXPECT_THAT(NewQuestions(server_.NewChannel()).Services(), services);
  EXPECT_THAT(OldQuestions(server_.NewChannel()).Services(), services);
}

TEST_F(ReflectionRpcTest, OneStreamAnswersManyQuestions) {
  Start();
  NewQuestions questions(server_.NewChannel());
  ServerReflectionRequest question;
  question.set_host("somewhere");
  for (int i = 0; i < 3; ++i) {
    question.set_file_containing_symbol(kService);
    const ServerReflectionResponse found = questions.Ask(question);
    EXPECT_EQ(found.valid_host(), "somewhere");
    EXPECT_EQ(found.original_request().file_containing_symbol(), kService);
    EXPECT_THAT(found.file_descriptor_response().file_descriptor_proto(),
                Not(IsEmpty()));
    question.set_file_by_filename("no/such.proto");
    EXPECT_EQ(questions.Ask(question).error_response().error_code(),
              grpc::StatusCode::NOT_FOUND);
  }
  EXPECT_TRUE(questions.Finish().ok());
}

TEST_F(ReflectionRpcTest, AnswersEveryKindOfQuestion) {
  Start();
  NewQuestions questions(server_.NewChannel());
  ServerReflectionRequest question;
  question.set_file_by_filename("grpc/health/v1/health.proto");
  const auto found = questions.Ask(question);
  ASSERT_EQ(found.file_descriptor_response().file_descriptor_proto_size(), 1);
  google::protobuf::FileDescriptorProto file;
  ASSERT_TRUE(file.ParseFromString(
      found.file_descriptor_response().file_descriptor_proto(0)));
  EXPECT_EQ(file.package(), "grpc.health.v1");
  question.set_all_extension_numbers_of_type("neumf.v1.RecommendRequest");
  EXPECT_EQ(
      questions.Ask(question).all_extension_numbers_response().base_type_name(),
      "neumf.v1.RecommendRequest");
  question.mutable_file_containing_extension()->set_containing_type(
      "neumf.v1.RecommendRequest");
  EXPECT_EQ(questions.Ask(question).error_response().error_code(),
            grpc::StatusCode::NOT_FOUND);
  question.clear_message_request();
  EXPECT_EQ(questions.Ask(question).error_response().error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_TRUE(questions.Finish().ok());
}

TEST_F(ReflectionRpcTest, AQuestionThatIsTooLongEndsTheStream) {
  Start();
  NewQuestions questions(server_.NewChannel());
  ServerReflectionRequest question;
  question.set_file_containing_symbol(
      std::string(ReflectionCall::kMaxQuestionBytes, 'x'));
  questions.Ask(question);
  EXPECT_EQ(questions.Await().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ReflectionRpcTest, ALongNameMayHaveManyParts) {
  Start();
  NewQuestions questions(server_.NewChannel());
  ServerReflectionRequest question;
  for (int i = 0; i < 250; ++i) {
    question.mutable_file_containing_symbol()->append("a.");
  }
  ASSERT_LE(question.ByteSizeLong(), ReflectionCall::kMaxQuestionBytes);
  EXPECT_EQ(questions.Ask(question).error_response().error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(questions.Finish().ok());
}

TEST_F(ReflectionRpcTest, StreamsAndTheirMessagesAreCounted) {
  Start();
  NewQuestions questions(server_.NewChannel());
  questions.Services();
  questions.Services();
  EXPECT_EQ(Count("grpc_server_started_total"), 1);
  EXPECT_EQ(Count("grpc_server_msg_received_total"), 2);
  EXPECT_TRUE(
      Eventually([&] { return Count("grpc_server_msg_sent_total") == 2; }));
  EXPECT_TRUE(questions.Finish().ok());
  EXPECT_TRUE(Eventually([&] { return CountEnds("OK") == 1; }));
  EXPECT_EQ(Count("grpc_server_started_total", {}, "v1alpha"), 0);
}

TEST_F(ReflectionRpcTest, AStreamMayBeCancelled) {
  Start();
  NewQuestions questions(server_.NewChannel());
  questions.Services();
  questions.Cancel();
  EXPECT_EQ(questions.Await().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return CountEnds("Canceled") == 1; }));
}

TEST_F(ReflectionRpcTest, IdleStreamsDoNotHoldUpTheDrain) {
  Start();
  NewQuestions asked(server_.NewChannel());
  asked.Services();
  NewQuestions silent(server_.NewChannel());
  EXPECT_TRUE(
      Eventually([&] { return Count("grpc_server_started_total") == 2; }));
  EXPECT_TRUE(server_.Drain());
  EXPECT_EQ(asked.Await().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(silent.Await().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ReflectionRpcTest, IsNotThereWhenSwitchedOff) {
  server_.options.reflection = false;
  Start();
  EXPECT_EQ(NewQuestions(server_.NewChannel()).Finish().error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(OldQuestions(server_.NewChannel()).Finish().error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace neumf
