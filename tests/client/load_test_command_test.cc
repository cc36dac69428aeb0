// `neumfctl load-test`, the program itself, against a server of the test.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::string UserOf(const FakeServer::Call& call) {
  return call.request.user_id();
}

class LoadTestCommandTest : public testing::Test {
 protected:
  LoadTestCommandTest() : users_path_(directory_.Path("users")) {
    WriteUsers("42\r\n\n7\n");
  }

  void WriteUsers(const std::string& text) {
    ASSERT_THAT(WriteFileAtomically(*MakePosixFileSystem(), users_path_, text),
                IsOk());
  }

  // With a lag that the busiest machine does not reach, unless it is among
  // `options`.
  ProgramResult Run(const std::vector<std::string>& options,
                    const std::string& max_lag = "10s") {
    std::vector<std::string> words = {
        "load-test",  "--server", server_.address(), "--warmup", "10ms",
        "--arrivals", "uniform",  "--deadline",      "30s",      "--max_lag",
        max_lag};
    words.insert(words.end(), options.begin(), options.end());
    return RunProgram("neumfctl", words);
  }

  FakeServer server_;
  const TempDirectory directory_;
  const std::string users_path_;
};

TEST_F(LoadTestCommandTest, PrintsATable) {
  const ProgramResult result =
      Run({"--rate", "100", "--duration", "500ms", "--users", users_path_});

  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(
      result.out,
      AllOf(ContainsRegex("ms +calls +p50 +p90 +p99 +p99.9 +max\n"),
            ContainsRegex("all +50 "), ContainsRegex("answered +50 "),
            ContainsRegex("refused +0 +-"), ContainsRegex("lag +50 "),
            HasSubstr("codes: OK 50\n"),
            HasSubstr("offered 100.0 calls/s for 500ms; goodput 100.0 ")));
}

TEST_F(LoadTestCommandTest, AsksForTheUsersOfTheFile) {
  EXPECT_EQ(Run({"--rate", "100", "--duration", "200ms", "--users", users_path_,
                 "-k", "3"})
                .exit_code,
            0);

  ASSERT_THAT(server_.calls(), SizeIs(21));
  for (const FakeServer::Call& call : server_.calls()) {
    EXPECT_THAT(UserOf(call), AnyOf("42", "7"));
    EXPECT_EQ(call.request.k(), 3);
  }
}

TEST_F(LoadTestCommandTest, AsksForTheUsersOfACheckpoint) {
  CheckpointFile checkpoint;
  checkpoint.Write();

  const ProgramResult result = Run({"--rate", "100", "--duration", "200ms",
                                    "--checkpoint", checkpoint.path()});

  EXPECT_EQ(result.exit_code, 0) << result.errors;
  ASSERT_THAT(server_.calls(), SizeIs(21));
  for (const FakeServer::Call& call : server_.calls()) {
    EXPECT_THAT(UserOf(call), StartsWith("u"));
  }
}

TEST_F(LoadTestCommandTest, PrintsJson) {
  const ProgramResult result = Run({"--rate", "100", "--duration", "100ms",
                                    "--users", users_path_, "--json"});

  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.out, AllOf(StartsWith("{\"rate\": 100.000, "),
                                HasSubstr("\"codes\": {\"OK\": 10}")));
}

TEST_F(LoadTestCommandTest, SweepsUntilTheGoalIsMissed) {
  // The third trial's calls, and all after them, are refused.
  FakeServer::Reply answer;
  FakeServer::Reply refusal;
  refusal.status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "full");
  std::vector<FakeServer::Reply> replies(33, answer);
  replies.push_back(refusal);
  server_.ReplyWith(replies);

  const ProgramResult result =
      Run({"--rate", "100", "--duration", "100ms", "--users", users_path_,
           "--sweep", "--goal", "30s"});

  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.out,
              AllOf(ContainsRegex("\n +100.0 .* kept\n +200.0 .* kept\n"),
                    ContainsRegex("\n +400.0 .* missed\n"),
                    HasSubstr("highest rate with p99 <= 30s: 200.0 calls/s")));
}

TEST_F(LoadTestCommandTest, FailsWhenItFellBehindItsSchedule) {
  const ProgramResult result =
      Run({"--rate", "1000000", "--duration", "4ms", "--users", users_path_},
          "1ms");

  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, ContainsRegex("lag +4000 "));
  EXPECT_THAT(result.errors,
              StartsWith("FAILED_PRECONDITION: the client fell behind its "
                         "schedule: p99 of the lag is "));
}

TEST_F(LoadTestCommandTest, FailsWhenNoCallWasAnswered) {
  FakeServer::Reply refusal;
  refusal.status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "full");
  server_.ReplyWith({refusal});

  const ProgramResult result =
      Run({"--rate", "100", "--duration", "100ms", "--users", users_path_});

  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("codes: UNAVAILABLE 10\n"));
  EXPECT_EQ(result.errors, "UNAVAILABLE: no call was answered\n");
}

TEST_F(LoadTestCommandTest, RefusesWhatItCannotUse) {
  const auto error = [this](const std::vector<std::string>& options) {
    return Run(options).errors;
  };
  EXPECT_THAT(error({"--rate", "0", "--users", users_path_}),
              HasSubstr("--rate: '0' is not a number"));
  EXPECT_THAT(error({"--rate", "nan", "--users", users_path_}),
              HasSubstr("--rate: 'nan' is not a number"));
  EXPECT_THAT(error({"--rate", "5"}), HasSubstr("users come either from"));
  EXPECT_THAT(error({"--rate", "5", "--users", users_path_ + "x"}),
              StartsWith("NOT_FOUND: "));
  WriteUsers("\n\n");
  EXPECT_THAT(error({"--rate", "5", "--users", users_path_}),
              HasSubstr("there is no user"));
  WriteUsers("7\n\xFF\n");
  EXPECT_THAT(error({"--rate", "5", "--users", users_path_}),
              HasSubstr("line 2: the id is not UTF-8"));
}

}  // namespace
}  // namespace neumf
