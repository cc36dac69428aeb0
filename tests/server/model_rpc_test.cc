// ModelService over a connection.

#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/server/running_server.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// The detail of type Detail; an empty one when there is none.
template <typename Detail>
Detail DetailOf(const grpc::Status& status) {
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  Detail detail;
  for (const auto& any : details.details()) {
    if (any.Is<Detail>()) any.UnpackTo(&detail);
  }
  return detail;
}

class ModelRpcTest : public testing::Test {
 protected:
  void Publish() { server_.Publish(MakeTinyModel({})); }
  // Publishes until `last` is served.
  void ServeUpTo(uint64_t last) {
    for (uint64_t v = last; v > 0; --v) {
      Publish();
      if (v == last) server_.Start();
    }
    ASSERT_TRUE(Eventually([&] { return IsListedAsServed(last); }));
  }
  // The records follow the swap.
  bool IsListedAsServed(uint64_t version) {
    const auto context = PatientContext();
    context->AddMetadata("authorization", "Bearer reader");
    v1::ListModelVersionsResponse list;
    return server_.models()->ListModelVersions(context.get(), {}, &list).ok() &&
           list.versions_size() > 0 &&
           list.versions(0).version() == absl::StrCat(version) &&
           list.versions(0).state() == v1::MODEL_STATE_SERVING;
  }
  uint64_t Served() {
    const auto snapshot = server_.server().snapshots().Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }
  grpc::Status Load(const std::string& version, const std::string& token = "") {
    const auto context = PatientContext();
    if (!token.empty())
      context->AddMetadata("authorization", "Bearer " + token);
    v1::LoadModelVersionRequest request;
    request.set_version(version);
    loaded_.Clear();
    return server_.models()->LoadModelVersion(context.get(), request, &loaded_);
  }
  grpc::Status RollBack() {
    return server_.models()->RollbackModelVersion(PatientContext().get(), {},
                                                  &rolled_back_);
  }

  RunningServer server_;
  v1::LoadModelVersionResponse loaded_;
  v1::RollbackModelVersionResponse rolled_back_;
};

TEST_F(ModelRpcTest, LoadsAndRollsBack) {
  ServeUpTo(2);
  ASSERT_TRUE(RollBack().ok());
  EXPECT_EQ(rolled_back_.version().version(), "1");
  EXPECT_EQ(rolled_back_.version().state(), v1::MODEL_STATE_SERVING);
  EXPECT_EQ(rolled_back_.unsaved_reason(), "");
  EXPECT_EQ(Served(), 1U);
  ASSERT_TRUE(Load("2").ok());
  EXPECT_EQ(loaded_.version().version(), "2");
  EXPECT_EQ(Served(), 2U);
  ASSERT_TRUE(Load("largest").ok());
  EXPECT_EQ(loaded_.version().version(), "2");
}

TEST_F(ModelRpcTest, SaysWhyAVersionIsNotServed) {
  ServeUpTo(1);
  const grpc::Status missing = Load("7");
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(missing).reason(),
            "VERSION_NOT_FOUND");

  for (const char* const text : {"", "x", "-1", "01", "../1"}) {
    const grpc::Status refused = Load(text);
    EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    const auto details = DetailOf<google::rpc::BadRequest>(refused);
    ASSERT_EQ(details.field_violations_size(), 1);
    EXPECT_EQ(details.field_violations(0).field(), "version");
  }

  std::ofstream(server_.directory().path() + "/9.safetensors") << "junk";
  const grpc::Status corrupt = Load("9");
  EXPECT_EQ(corrupt.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(corrupt).reason(), "CORRUPT");
  EXPECT_THAT(corrupt.error_message(),
              AllOf(HasSubstr("version 9"),
                    Not(HasSubstr(server_.directory().path()))));

  const grpc::Status earlier = RollBack();
  EXPECT_EQ(earlier.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  const auto details = DetailOf<google::rpc::PreconditionFailure>(earlier);
  ASSERT_EQ(details.violations_size(), 1);
  EXPECT_EQ(details.violations(0).type(), "NO_PREVIOUS_VERSION");
  EXPECT_EQ(Served(), 1U);
}

TEST_F(ModelRpcTest, ChangesAreAskedForWithARightOfTheirOwn) {
  const std::string tokens = server_.directory().path() + "/tokens";
  std::ofstream(tokens) << "sha256:" << ToHex(Sha256Of("reader"))
                        << " reader models.read\nsha256:"
                        << ToHex(Sha256Of("writer"))
                        << " writer models.write\n";
  server_.options.auth_tokens_file = tokens;
  ServeUpTo(1);
  EXPECT_EQ(Load("1").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Load("1", "reader").error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(RollBack().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(Load("1", "writer").ok());
  const auto context = PatientContext();
  context->AddMetadata("authorization", "Bearer writer");
  const auto watch = server_.models()->WatchModelVersions(context.get(), {});
  v1::ModelVersion version;
  EXPECT_FALSE(watch->Read(&version));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(ModelRpcTest, AWatchShowsWhatIsThereAndThenEveryChange) {
  ServeUpTo(2);
  const auto context = PatientContext();
  const auto watch = server_.models()->WatchModelVersions(context.get(), {});
  std::vector<std::string> seen;
  const auto read = [&] {
    v1::ModelVersion version;
    if (!watch->Read(&version)) return false;
    seen.push_back(absl::StrCat(
        version.version(), " ",
        v1::ModelState_Name(version.state()).substr(sizeof("MODEL_STATE"))));
    return true;
  };
  ASSERT_TRUE(read() && read());
  EXPECT_THAT(seen, testing::UnorderedElementsAre("1 STANDBY", "2 SERVING"));
  seen.clear();
  ASSERT_TRUE(RollBack().ok());
  ASSERT_TRUE(read() && read());
  EXPECT_THAT(seen, testing::ElementsAre("2 RETIRED", "1 SERVING"));
  seen.clear();
  Publish();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(read());
  EXPECT_THAT(seen, testing::ElementsAre("3 FOUND", "3 LOADING", "1 STANDBY",
                                         "3 SERVING"));
  // The end of the server is the end of the watch.
  std::thread drain([&] { server_.Drain(); });
  while (read()) {
  }
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  drain.join();
}

}  // namespace
}  // namespace neumf
