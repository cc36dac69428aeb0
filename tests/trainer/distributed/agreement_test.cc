#include "trainer/distributed/agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/trainer/distributed/thread_collective.h"

namespace neumf {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;

TEST(AgreementTest, TheSameRunIsTheSame) {
  RunTogether(3, [](Collective& collective) {
    NEUMF_EXPECT_OK(
        CheckSameRun({{"--seed", "1"}, {"the data", "abc"}}, collective));
  });
}

TEST(AgreementTest, TheProcessThatDiffersSaysWhat) {
  RunTogether(3, [](Collective& collective) {
    RunIdentity run = {{"--epochs", "3"}, {"--seed", "1"}, {"--threads", "1"}};
    if (collective.rank() == 2) run["--seed"] = "12";
    EXPECT_THAT(
        CheckSameRun(run, collective),
        StatusIs(StatusCode::kFailedPrecondition,
                 collective.rank() == 2
                     ? AllOf(HasSubstr("process 2 of 3 differs"),
                             HasSubstr("'--seed = 12' here"),
                             HasSubstr("there '--seed = 1'"))
                     : AllOf(HasSubstr("process"), HasSubstr("another one"),
                             HasSubstr("does not agree"))));
  });
}

TEST(AgreementTest, ASettingThatOneLacksDiffers) {
  RunTogether(2, [](Collective& collective) {
    RunIdentity run = {{"a", "1"}};
    if (collective.rank() == 1) run["b"] = "2";
    EXPECT_FALSE(CheckSameRun(run, collective).ok());
  });
}

TEST(AgreementTest, OneBitOfAParameterDiffers) {
  RunTogether(3, [](Collective& collective) {
    std::vector<float> parameters = {1, 2, 0.0F};
    NEUMF_ASSERT_OK_AND_ASSIGN(const Sha256Digest digest,
                               CheckSameParameters(parameters, collective));
    EXPECT_EQ(digest, Sha256Of(absl::string_view(
                          reinterpret_cast<const char*>(parameters.data()),
                          sizeof(float) * parameters.size())));
    if (collective.rank() == 1) parameters[2] = -0.0F;
    EXPECT_THAT(CheckSameParameters(parameters, collective),
                StatusIs(StatusCode::kFailedPrecondition, testing::_));
  });
}

TEST(AgreementTest, StatesOfProcessZeroGoToAll) {
  RunTogether(3, [](Collective& collective) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const auto none,
                               ShareState(std::nullopt, collective));
    EXPECT_FALSE(none.has_value());

    std::optional<TrainingState> mine;
    if (collective.leads()) {
      mine.emplace();
      mine->epoch_losses = {0.1, 1.0 / 3};
      mine->num_examples = uint64_t{1} << 40;
      mine->duration = absl::Nanoseconds(123456789);
      mine->num_steps = 77;
      mine->parameters = {1, -0.0F, 3e-41F};
      mine->second_moment = {4, 5, 6};
    }
    NEUMF_ASSERT_OK_AND_ASSIGN(const auto shared, ShareState(mine, collective));
    ASSERT_TRUE(shared.has_value());
    EXPECT_EQ(shared->epoch_losses, (std::vector<double>{0.1, 1.0 / 3}));
    EXPECT_EQ(shared->num_examples, uint64_t{1} << 40);
    EXPECT_EQ(shared->duration, absl::Nanoseconds(123456789));
    EXPECT_EQ(shared->num_steps, 77U);
    EXPECT_EQ(shared->parameters, (std::vector<float>{1, -0.0F, 3e-41F}));
    EXPECT_TRUE(shared->first_moment.empty());
    EXPECT_EQ(shared->second_moment, (std::vector<float>{4, 5, 6}));
  });
}

TEST(AgreementTest, AFailureOfProcessZeroIsAnEndForAll) {
  RunTogether(2, [](Collective& collective) {
    NEUMF_EXPECT_OK(ShareStatus(absl::OkStatus(), collective));
    const absl::Status mine =
        collective.leads() ? absl::DataLossError("broken") : absl::OkStatus();
    EXPECT_THAT(
        ShareStatus(mine, collective),
        collective.leads()
            ? StatusIs(StatusCode::kDataLoss, HasSubstr("broken"))
            : StatusIs(StatusCode::kAborted, HasSubstr("process 0 failed")));
  });
}

TEST(AgreementTest, AnyMaySay) {
  RunTogether(3, [](Collective& collective) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const bool none, AnySays(false, collective));
    EXPECT_FALSE(none);
    NEUMF_ASSERT_OK_AND_ASSIGN(const bool one,
                               AnySays(collective.rank() == 2, collective));
    EXPECT_TRUE(one);
  });
}

}  // namespace
}  // namespace neumf
