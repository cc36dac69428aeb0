#include "client/missing_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// `status` as the answer of the server that was given as --admin.
absl::Status Explain(const absl::Status& status) {
  const std::vector<OptionSpec> specs = {{"--admin", "ADDR", ""}};
  const auto args = Args::Parse(specs, {}, {"--admin", "host:1"});
  EXPECT_THAT(args, IsOk());
  return ExplainMissingService(status, *args, "--admin");
}

TEST(MissingServiceTest, NamesTheServerAndTheAddressThatTheOptionTakes) {
  EXPECT_THAT(Explain(absl::UnimplementedError("")),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("the server at host:1"),
                             HasSubstr("neumf-server's --admin_listen"))));
}

TEST(MissingServiceTest, LeavesOtherAnswersAsTheyAre) {
  for (const absl::Status& status :
       {absl::OkStatus(), absl::UnimplementedError("not in this version"),
        absl::UnavailableError("")}) {
    EXPECT_EQ(Explain(status), status);
  }
}

}  // namespace
}  // namespace neumf
