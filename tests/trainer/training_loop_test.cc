#include "trainer/training_loop.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/neumf_module.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class TrainingLoopTest : public testing::Test {
 protected:
  TrainingLoopTest()
      : log_(MakeTinyLog(60, 80, 1)),
        split_(*MakeSplit(log_, SplitKind::kD2l, HeldOut::kTest)),
        train_(TrainPart(log_, split_)),
        sampler_(*PoolSampler::Create(train_, split_.held_out)) {
    SetTorchThreads(1);
    environment_.clock = &clock_;
    environment_.stop = &stop_;
  }

  absl::StatusOr<TrainedModel> TrainWithSeed(uint64_t seed) {
    return TrainNeuMf(settings_, seed, train_, sampler_, environment_,
                      [this](const TrainingProgress& p) {
                        progress_.push_back(p);
                        if (p.epoch == stop_in_epoch_) stop_ = true;
                      });
  }

  static std::vector<float> Values(const TrainedModel& model) {
    return {model.parameters.values().begin(), model.parameters.values().end()};
  }

  FakeClock clock_;
  std::atomic<bool> stop_{false};
  uint32_t stop_in_epoch_ = 0;
  EventLog log_;
  Split split_;
  Interactions train_;
  PoolSampler sampler_;
  TrainingEnvironment environment_;
  TrainSettings settings_ = TinySettings();
  std::vector<TrainingProgress> progress_;
};

TEST_F(TrainingLoopTest, SameSeedGivesTheSameParametersBitForBit) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainedModel first, TrainWithSeed(5));
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainedModel second, TrainWithSeed(5));
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainedModel other, TrainWithSeed(6));
  EXPECT_EQ(Values(first), Values(second));
  EXPECT_EQ(first.epoch_losses, second.epoch_losses);
  EXPECT_NE(Values(first), Values(other));
}

TEST_F(TrainingLoopTest, SameSeedAndTwoThreadsGiveTheSameParameters) {
  SetTorchThreads(2);
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainedModel first, TrainWithSeed(5));
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainedModel second, TrainWithSeed(5));
  EXPECT_EQ(Values(first), Values(second));
}

TEST_F(TrainingLoopTest, LearnsWhatThereIsToLearn) {
  settings_.epochs = 40;
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainedModel model, TrainWithSeed(1));
  EXPECT_NEAR(model.epoch_losses.front(), std::log(2.0), 0.02);
  EXPECT_LT(model.epoch_losses.back(), 0.4);
}

TEST_F(TrainingLoopTest, SeesEachTrainPairOnceAnEpochTheShortBatchToo) {
  const uint64_t pairs = train_.num_interactions();
  ASSERT_NE(pairs % settings_.batch_size, 0U);
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainedModel model, TrainWithSeed(1));
  EXPECT_EQ(model.num_examples, settings_.epochs * pairs);
  EXPECT_EQ(model.epoch_losses.size(), settings_.epochs);
  const uint64_t batches = pairs / settings_.batch_size + 1;
  ASSERT_EQ(progress_.size(), settings_.epochs * batches);
  EXPECT_TRUE(progress_[batches - 1].epoch_done());
  EXPECT_EQ(progress_[batches].epoch, 2U);
  EXPECT_EQ(progress_[batches].examples_done, settings_.batch_size);
}

TEST_F(TrainingLoopTest, StopsAtTheEndOfTheEpoch) {
  stop_in_epoch_ = 2;
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainedModel model, TrainWithSeed(1));
  EXPECT_EQ(model.epoch_losses.size(), 2U);
  EXPECT_TRUE(progress_.back().epoch_done());
}

TEST_F(TrainingLoopTest, TrainsNothingWhenStoppedBefore) {
  stop_ = true;
  EXPECT_THAT(TrainWithSeed(1), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(TrainingLoopTest, RefusesALossThatIsNotFinite) {
  settings_.learning_rate = 1e20;
  settings_.epochs = 100;
  EXPECT_THAT(TrainWithSeed(1), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("learning rate")));
}

TEST_F(TrainingLoopTest, RefusesDataWithoutAPair) {
  const Interactions nothing(3, 4, {});
  EXPECT_THAT(
      TrainNeuMf(settings_, 1, nothing, *PoolSampler::Create(nothing, {}),
                 environment_, [](const TrainingProgress&) {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("nothing to train on")));
}

}  // namespace
}  // namespace neumf
