// The program itself, against a server of the test and files of its own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "tests/client/checkpoint_file.h"
#include "tests/client/fake_server.h"
#include "tests/support/run_program.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using grpc::health::v1::HealthCheckResponse;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

ProgramResult Neumfctl(const std::vector<std::string>& words) {
  return RunProgram("neumfctl", words);
}

auto Succeeds() {
  return AllOf(testing::Field(&ProgramResult::exit_code, 0),
               testing::Field(&ProgramResult::errors, IsEmpty()));
}

template <typename Matcher>
auto FailsWith(const Matcher& errors) {
  return AllOf(testing::Field(&ProgramResult::exit_code, 1),
               testing::Field(&ProgramResult::out, IsEmpty()),
               testing::Field(&ProgramResult::errors, errors));
}

v1::RecommendResponse TwoItems() {
  v1::RecommendResponse response;
  v1::ScoredItem* first = response.add_items();
  first->set_item_id("50");
  first->set_score(1.5F);
  v1::ScoredItem* second = response.add_items();
  second->set_item_id("181");
  second->set_score(-0.25F);
  response.set_model_version("3");
  response.set_served_from(v1::SERVED_FROM_MODEL);
  response.set_candidate_count(1586);
  return response;
}

class NeumfctlRecommendTest : public testing::Test {
 protected:
  NeumfctlRecommendTest() {
    FakeServer::Reply reply;
    reply.response = TwoItems();
    server_.ReplyWith({reply});
  }

  ProgramResult Recommend(const std::vector<std::string>& options) {
    std::vector<std::string> words = {"recommend", "--server",
                                      server_.address(), "--user", "42"};
    words.insert(words.end(), options.begin(), options.end());
    return Neumfctl(words);
  }

  FakeServer server_;
};

TEST_F(NeumfctlRecommendTest, PrintsATable) {
  const ProgramResult result = Recommend({"-k", "2"});

  EXPECT_THAT(result, Succeeds());
  EXPECT_EQ(result.out,
            "rank  item_id      score\n"
            "   1  50        1.500000\n"
            "   2  181      -0.250000\n"
            "2 of 1586 candidates, from the model, model version 3\n");
}

TEST_F(NeumfctlRecommendTest, PrintsTitles) {
  const TempDirectory directory;
  const std::string path = directory.Path("titles.csv");
  ASSERT_THAT(WriteFileAtomically(*MakePosixFileSystem(), path,
                                  "item_id,title\n50,\"Postino, Il\"\n"),
              IsOk());

  const ProgramResult result = Recommend({"--titles", path});

  EXPECT_THAT(result, Succeeds());
  EXPECT_THAT(result.out, HasSubstr("   1  50        1.500000  Postino, Il\n"
                                    "   2  181      -0.250000\n"));
}

TEST_F(NeumfctlRecommendTest, PrintsJson) {
  const ProgramResult result = Recommend({"--json"});

  EXPECT_THAT(result, Succeeds());
  EXPECT_THAT(result.out, AllOf(HasSubstr("\"itemId\": \"50\""),
                                HasSubstr("\"modelVersion\": \"3\"")));
}

TEST_F(NeumfctlRecommendTest, SendsWhatWasAsked) {
  EXPECT_THAT(Recommend({"-k", "7", "--exclude", "a", "--exclude", "b",
                         "--seen", "only", "--popular"}),
              Succeeds());

  ASSERT_THAT(server_.calls(), SizeIs(1));
  const v1::RecommendRequest request = server_.calls()[0].request;
  EXPECT_EQ(request.user_id(), "42");
  EXPECT_EQ(request.k(), 7);
  EXPECT_THAT(request.exclude_item_ids(), ElementsAre("a", "b"));
  EXPECT_EQ(request.seen_policy(), v1::SEEN_POLICY_ONLY);
  EXPECT_EQ(request.unknown_user_policy(), v1::UNKNOWN_USER_POLICY_POPULAR);
}

TEST_F(NeumfctlRecommendTest, SaysWhyTheAnswerIsShort) {
  FakeServer::Reply reply;
  reply.response.set_shortfall_reason(v1::SHORTFALL_REASON_ELIGIBLE_ITEMS);
  server_.ReplyWith({reply});

  const ProgramResult result = Recommend({});

  EXPECT_THAT(result, Succeeds());
  EXPECT_THAT(result.out, HasSubstr("(there are no more eligible items)"));
}

TEST_F(NeumfctlRecommendTest, PassesTheServersErrorOn) {
  FakeServer::Reply reply;
  reply.status = grpc::Status(grpc::StatusCode::NOT_FOUND, "unknown user");
  server_.ReplyWith({reply});

  EXPECT_THAT(Recommend({}), FailsWith("NOT_FOUND: unknown user\n"));
}

TEST_F(NeumfctlRecommendTest, GivesUpAfterItsTimeout) {
  FakeServer::Reply reply;
  reply.hang = true;
  server_.ReplyWith({reply});

  EXPECT_THAT(Recommend({"--timeout", "50ms"}),
              FailsWith(StartsWith("DEADLINE_EXCEEDED: ")));
}

TEST_F(NeumfctlRecommendTest, RefusesBadOptionsWithoutACall) {
  EXPECT_THAT(Recommend({"-k", "many"}),
              FailsWith(StartsWith("INVALID_ARGUMENT: -k: 'many'")));
  EXPECT_THAT(Recommend({"--seen", "maybe"}),
              FailsWith(StartsWith("INVALID_ARGUMENT: --seen: 'maybe'")));
  EXPECT_THAT(Recommend({"--titles", "/nonexistent"}),
              FailsWith(StartsWith("NOT_FOUND: ")));
  EXPECT_THAT(Recommend({"--count", "3"}),
              FailsWith("neumfctl recommend: unknown option --count (see "
                        "'neumfctl help recommend')\n"));
  EXPECT_THAT(server_.calls(), IsEmpty());
}

TEST_F(NeumfctlRecommendTest, RefusesIdsThatAreNotUtf8InOneLine) {
  EXPECT_THAT(
      Recommend({"--exclude", "a\xFF"}),
      FailsWith("INVALID_ARGUMENT: --exclude: the value is not UTF-8\n"));
  EXPECT_THAT(
      Neumfctl({"recommend", "--server", server_.address(), "--user", "\xC3"}),
      FailsWith("INVALID_ARGUMENT: --user: the value is not UTF-8\n"));
  EXPECT_THAT(server_.calls(), IsEmpty());
}

TEST_F(NeumfctlRecommendTest, AsksNoProxy) {
  const std::vector<std::string> words = {"recommend", "--server",
                                          server_.address(), "--user", "42"};
  EXPECT_THAT(RunProgram("neumfctl", words,
                         {"grpc_proxy=http://127.0.0.1:1", "no_grpc_proxy="}),
              Succeeds());
}

TEST(NeumfctlTest, SaysWhichAddressWasWrong) {
  const FakeServer admin(FakeServer::Services::kAdmin);
  const std::string answer =
      "UNIMPLEMENTED: the server at " + admin.address() +
      " does not offer this service: --server takes the address of "
      "neumf-server's --listen\n";
  EXPECT_THAT(Neumfctl({"health", "--server", admin.address()}),
              FailsWith(answer));
  EXPECT_THAT(
      Neumfctl({"recommend", "--server", admin.address(), "--user", "42"}),
      FailsWith(answer));
}

TEST(NeumfctlTest, SaysUnavailableWhenNobodyListens) {
  EXPECT_THAT(Neumfctl({"health", "--server", "unix:/nonexistent/socket"}),
              FailsWith(StartsWith("UNAVAILABLE: ")));
}

TEST(NeumfctlTest, HasHelpForEveryCommand) {
  const ProgramResult help = Neumfctl({"--help"});
  EXPECT_THAT(help, Succeeds());
  for (const char* const name :
       {"recommend", "versions", "load", "rollback", "watch", "health",
        "checkpoint inspect", "checkpoint verify", "checkpoint sign"}) {
    EXPECT_THAT(help.out, HasSubstr(name));
  }
  EXPECT_THAT(Neumfctl({"help", "checkpoint", "verify"}), Succeeds());
}

TEST(NeumfctlTest, WantsBothWordsOfACommand) {
  EXPECT_THAT(Neumfctl({"checkpoint"}),
              FailsWith(AllOf(HasSubstr("checkpoint inspect"),
                              HasSubstr("checkpoint verify"))));
}

TEST(NeumfctlHealthTest, PrintsServing) {
  const FakeServer server;

  const ProgramResult result =
      Neumfctl({"health", "--server", server.address(), "--service",
                "neumf.v1.RecommendationService"});

  EXPECT_THAT(result, Succeeds());
  EXPECT_EQ(result.out, "SERVING\n");
}

TEST(NeumfctlHealthTest, FailsWhenTheServerDoesNotServe) {
  FakeServer server;
  server.SetHealth(HealthCheckResponse::NOT_SERVING);

  EXPECT_THAT(Neumfctl({"health", "--server", server.address()}),
              FailsWith("UNAVAILABLE: the server is NOT_SERVING\n"));
}

TEST(NeumfctlHealthTest, FailsForAServiceThatTheServerDoesNotHave) {
  const FakeServer server;

  EXPECT_THAT(
      Neumfctl({"health", "--server", server.address(), "--service", "x"}),
      FailsWith("NOT_FOUND: unknown service\n"));
}

TEST(NeumfctlVersionsTest, PrintsEveryAttempt) {
  FakeServer server;
  v1::ListModelVersionsResponse versions;
  v1::ModelVersion* refused = versions.add_versions();
  refused->set_version("8");
  refused->set_state(v1::MODEL_STATE_REFUSED);
  refused->set_reason("item.gmf: bad digest");
  refused->mutable_found_time()->set_seconds(1'800'000'000);
  v1::ModelVersion* serving = versions.add_versions();
  serving->set_version("7");
  serving->set_state(v1::MODEL_STATE_SERVING);
  serving->set_item_count(1682);
  server.SetVersions(versions);

  const ProgramResult result =
      Neumfctl({"versions", "--admin", server.address()});

  EXPECT_THAT(result, Succeeds());
  EXPECT_THAT(result.out,
              AllOf(ContainsRegex("8  REFUSED  2027-01-15T08:00:00Z  - .*"
                                  "item.gmf: bad digest\n"),
                    ContainsRegex("7  SERVING .* 1682\n")));
}

TEST(NeumfctlVersionsTest, LoadsAVersion) {
  const FakeServer server;
  const ProgramResult loaded =
      Neumfctl({"load", "7", "--admin", server.address()});
  EXPECT_THAT(loaded, Succeeds());
  EXPECT_EQ(loaded.out, "serving version 7\n");
  EXPECT_THAT(Neumfctl({"load", "missing", "--admin", server.address()}),
              FailsWith("NOT_FOUND: there is no such version\n"));
  EXPECT_THAT(Neumfctl({"load", "--admin", server.address()}),
              FailsWith(HasSubstr("VERSION")));
}

TEST(NeumfctlVersionsTest, RollsBackAndSaysWhatDoesNotHold) {
  const FakeServer server;
  const ProgramResult result =
      Neumfctl({"rollback", "--admin", server.address()});
  EXPECT_THAT(result, Succeeds());
  EXPECT_EQ(result.out,
            "serving version 6\nnote: serving.json could not be written\n");
}

TEST(NeumfctlVersionsTest, WatchPrintsEveryChangeUntilTheServerEndsIt) {
  FakeServer server;
  v1::ListModelVersionsResponse versions;
  v1::ModelVersion* refused = versions.add_versions();
  refused->set_version("8");
  refused->set_state(v1::MODEL_STATE_REFUSED);
  refused->set_reason("bad digest");
  server.SetVersions(versions);
  const ProgramResult result = Neumfctl({"watch", "--admin", server.address()});
  EXPECT_EQ(result.out, "8 REFUSED bad digest\n");
  EXPECT_EQ(result.errors, "UNAVAILABLE: the server goes\n");
  EXPECT_EQ(result.exit_code, 1);
}

TEST(NeumfctlVersionsTest, WatchEndsWhenItsTimeIsOver) {
  const FakeServer server;
  EXPECT_THAT(Neumfctl({"watch", "--for", "10ms", "--admin", server.address()}),
              Succeeds());
}

class NeumfctlCheckpointTest : public testing::Test {
 protected:
  ProgramResult Inspect() {
    return Neumfctl({"checkpoint", "inspect", file_.path()});
  }
  ProgramResult Verify() {
    return Neumfctl({"checkpoint", "verify", file_.path()});
  }

  CheckpointFile file_;
};

TEST_F(NeumfctlCheckpointTest, InspectTellsWhatTheFileSays) {
  file_.Write();

  const ProgramResult result = Inspect();

  EXPECT_THAT(result, Succeeds());
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("kind        neumf\n"), HasSubstr("users       7\n"),
            HasSubstr("items       33\n"), HasSubstr("gmf width   4\n"),
            HasSubstr("tower       8, 4 (relu)\n"),
            HasSubstr("user ids    u0  u1  u2  u3  u4  ...\n"),
            HasSubstr("probes      3\n"),
            HasSubstr("training    {\"recipe\":\"tiny\"}\n"),
            HasSubstr("metrics     {\"hit@50\":0.5}\n"),
            ContainsRegex("item.gmf +F32 +.33, 4. +528  [0-9a-f]{12}\n")));
}

TEST_F(NeumfctlCheckpointTest, VerifyAcceptsAGoodFile) {
  file_.Write();

  const ProgramResult result = Verify();

  EXPECT_THAT(result, Succeeds());
  EXPECT_THAT(result.out, ContainsRegex("^OK: [0-9]+ bytes, 3 probes, "
                                        "[0-9.]+ s\n$"));
}

TEST_F(NeumfctlCheckpointTest, VerifyFindsADamagedByte) {
  file_.Write();
  file_.FlipLastByte();

  EXPECT_THAT(Verify(), FailsWith(StartsWith("DATA_LOSS: ")));
}

TEST_F(NeumfctlCheckpointTest, VerifyFindsRowsThatLieAboutTheirNames) {
  file_.WriteWithShuffledNames();

  EXPECT_THAT(Verify(), FailsWith(AllOf(StartsWith("FAILED_PRECONDITION: "),
                                        HasSubstr("probe of user \"u0\""))));
}

TEST_F(NeumfctlCheckpointTest, BothSayThatThereIsNoFile) {
  EXPECT_THAT(Inspect(), FailsWith(StartsWith("NOT_FOUND: ")));
  EXPECT_THAT(Verify(), FailsWith(StartsWith("NOT_FOUND: ")));
}

}  // namespace
}  // namespace neumf
