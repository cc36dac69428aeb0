// Reflection: streams of questions, and how they end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/reflection_call.h"
#include "server/reflection_service.h"
#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

constexpr char kService[] = "neumf.v1.RecommendationService";

// One stream, of either version.
template <typename Api, typename Request, typename Response>
class Questions {
 public:
  explicit Questions(
      const std::shared_ptr<grpc::Channel>& channel,
      std::unique_ptr<grpc::ClientContext> context = PatientContext())
      : context_(std::move(context)),
        stub_(Api::NewStub(channel)),
        stream_(stub_->ServerReflectionInfo(context_.get())) {}

  // The answer, which is empty when the stream has ended.
  Response Ask(const Request& question) {
    return Write(question) ? Read() : Response();
  }
  bool Write(const Request& question) { return stream_->Write(question); }
  Response Read() {
    Response answer;
    return stream_->Read(&answer) ? answer : Response();
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
  const std::unique_ptr<grpc::ClientContext> context_;
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

double CountStreams(const ServerMetrics& metrics, const std::string& name,
                    MetricLabels labels = {},
                    const std::string& version = "v1") {
  labels["grpc_type"] = "bidi_stream";
  labels["grpc_service"] = "grpc.reflection." + version + ".ServerReflection";
  labels["grpc_method"] = "ServerReflectionInfo";
  return ReadMetric(metrics, name, labels);
}

ServerReflectionRequest FileOf(const std::string& symbol) {
  ServerReflectionRequest question;
  question.set_file_containing_symbol(symbol);
  return question;
}

class ReflectionRpcTest : public testing::Test {
 protected:
  void Start() {
    server_.Publish(MakeTinyModel({}));
    server_.Start();
  }

  double Count(const std::string& name, const MetricLabels& labels = {},
               const std::string& version = "v1") {
    return CountStreams(server_.server().counters(), name, labels, version);
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

// The service alone, where time stands still.
class ReflectionServiceTest : public testing::Test {
 protected:
  ReflectionServiceTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    service_.Register(&builder);
    server_ = builder.BuildAndStart();
    NEUMF_CHECK(server_ != nullptr);
  }
  ~ReflectionServiceTest() override {
    server_->Shutdown(std::chrono::system_clock::now());
  }

  std::shared_ptr<grpc::Channel> NewChannel(
      const grpc::ChannelArguments& arguments = {}) const {
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port_),
                                     grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  // Without a deadline, to a client that has next to no room for what it does
  // not read.
  NewQuestions AskSlowly() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 64);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // else it makes more
    return NewQuestions(NewChannel(arguments),
                        std::make_unique<grpc::ClientContext>());
  }

  bool HasReceived(int questions) const {
    return Eventually([&] {
      return CountStreams(metrics_, "grpc_server_msg_received_total") ==
             questions;
    });
  }
  double num_sent() const {
    return CountStreams(metrics_, "grpc_server_msg_sent_total");
  }
  // What the server does all the time, as if so much time had passed.
  void PassTime(absl::Duration time) {
    registry_.FinishExpired(clock_.MonotonicNow() + time);
  }

  const FakeClock clock_;
  ServerMetrics metrics_;
  CallRegistry registry_;
  ReflectionService service_{{&clock_, &metrics_, &registry_}, kService};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(ReflectionServiceTest, AClientThatReadsNoAnswerIsCutOff) {
  NewQuestions questions = AskSlowly();
  ASSERT_TRUE(questions.Write(FileOf(kService)));
  ASSERT_TRUE(HasReceived(1));
  EXPECT_TRUE(Eventually([&] {
    PassTime(CallRecord::kPatience);
    return CountStreams(metrics_, "grpc_server_handled_total",
                        {{"grpc_code", "Canceled"}}) == 1;
  }));
  EXPECT_EQ(num_sent(), 0);
}

TEST_F(ReflectionServiceTest, AClientThatReadsInTimeMayIdleAfterwards) {
  NewQuestions questions = AskSlowly();
  ASSERT_TRUE(questions.Write(FileOf(kService)));
  ASSERT_TRUE(HasReceived(1));
  PassTime(CallRecord::kPatience - absl::Milliseconds(1));
  EXPECT_TRUE(questions.Read().has_file_descriptor_response());
  EXPECT_TRUE(Eventually([&] { return num_sent() == 1; }));
  PassTime(absl::Hours(1));
  EXPECT_THAT(questions.Services(), Not(IsEmpty()));
}

TEST_F(ReflectionServiceTest, RefusesStreamsBeyondItsLimit) {
  const auto channel = NewChannel();
  std::vector<std::unique_ptr<NewQuestions>> open;
  for (size_t i = 0; i < ReflectionService::kMaxStreams; ++i) {
    open.push_back(std::make_unique<NewQuestions>(channel));
    ASSERT_THAT(open.back()->Services(), Not(IsEmpty()));
  }
  const grpc::Status refused = NewQuestions(channel).Await();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(refused.error_details(), HasSubstr("TOO_MANY_STREAMS"));
  EXPECT_TRUE(open.back()->Finish().ok());
  EXPECT_TRUE(
      Eventually([&] { return !NewQuestions(channel).Services().empty(); }));
}

}  // namespace
}  // namespace neumf
