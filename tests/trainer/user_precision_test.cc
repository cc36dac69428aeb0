#include "trainer/user_precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/probes.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class UserPrecisionTest : public testing::Test {
 protected:
  // Probes that the model as it is answers.
  void MakeProbes() {
    const std::unique_ptr<Scorer> scorer = MakeReferenceScorer(tiny_);
    for (const char* user : {"u0", "u5"}) {
      probes_.push_back(MakeProbe(MakeProbedModel(tiny_, *scorer), user, 10));
    }
  }
  absl::Status Set(UserPrecision precision) {
    return SetUserPrecision(precision, tiny_.items, 1, &tiny_.model, &probes_);
  }
  // Whether the model, as it is now, answers its probes.
  absl::Status Check() {
    const std::unique_ptr<Scorer> scorer = MakeReferenceScorer(tiny_);
    return CheckProbes(probes_, MakeProbedModel(tiny_, *scorer));
  }

  TinyModel tiny_ = MakeTinyModel({});
  std::vector<Probe> probes_;
};

TEST_F(UserPrecisionTest, HasTwoNames) {
  EXPECT_THAT(ParseUserPrecision("f32"), IsOkAndHolds(UserPrecision::kFloat32));
  EXPECT_THAT(ParseUserPrecision("f16"), IsOkAndHolds(UserPrecision::kFloat16));
  EXPECT_THAT(ParseUserPrecision("bf16"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("f32 or f16, not \"bf16\"")));
}

TEST_F(UserPrecisionTest, Float32ChangesNothing) {
  MakeProbes();
  const double score = probes_[0].items[0].score;
  NEUMF_ASSERT_OK(Set(UserPrecision::kFloat32));
  EXPECT_FALSE(tiny_.model.users.is_float16());
  EXPECT_EQ(probes_[0].items[0].score, score);
}

TEST_F(UserPrecisionTest, RoundedModelsAnswerTheirProbes) {
  MakeProbes();
  const double score = probes_[0].items[0].score;
  NEUMF_ASSERT_OK(Set(UserPrecision::kFloat16));
  EXPECT_TRUE(tiny_.model.users.is_float16());
  EXPECT_EQ(probes_[0].items.size(), 10U);
  EXPECT_NE(probes_[0].items[0].score, score);
  NEUMF_EXPECT_OK(Check());
}

TEST_F(UserPrecisionTest, AModelThatWasFoldedWrongIsNotRounded) {
  MakeProbes();
  probes_[1].items[3].score += 1;
  EXPECT_THAT(Set(UserPrecision::kFloat16),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("probe of user \"u5\"")));
  EXPECT_FALSE(tiny_.model.users.is_float16());
}

TEST_F(UserPrecisionTest, VectorsBeyondFloat16AreRefused) {
  tiny_.model.users.gmf.row(4)[1] = 1e6F;
  MakeProbes();
  EXPECT_THAT(Set(UserPrecision::kFloat16),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--user_precision=f16 is too low: user.gmf: "
                                 "value 1 of row 4, 1e+06")));
  EXPECT_FALSE(tiny_.model.users.is_float16());
}

}  // namespace
}  // namespace neumf
