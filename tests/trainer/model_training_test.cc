#include "trainer/model_training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/split.h"
#include "tests/support/status_matchers.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/settings_rules.h"

namespace neumf {
namespace {

// Settings as flags write them, over those of the tiny world.
TrainSettings SettingsOf(
    const std::vector<std::pair<std::string, std::string>>& changes) {
  TrainSettings settings = TinySettings();
  settings.epochs = 4;
  for (const auto& [name, text] : changes) {
    NEUMF_EXPECT_OK(SetSetting(name, text, &settings));
  }
  NEUMF_EXPECT_OK(ValidateSettings(settings));
  return settings;
}

class TrainingTest : public testing::Test {
 protected:
  TrainingTest() {
    data_.train = &train_;
    data_.sequences = &sequences_;
    data_.held_out = split_.held_out;
  }

  TrainingStart StartOf(const TrainSettings& settings) {
    return {InitialParameters(*SpecOf(settings, data_), settings, /*seed=*/3,
                              data_)};
  }

  // Until epoch `last`, whose state is left in `state`.
  absl::StatusOr<TrainedModel> TrainUntil(const TrainSettings& settings,
                                          TrainingStart start, uint64_t last,
                                          std::optional<TrainingState>* state) {
    TrainingEnvironment environment;
    environment.clock = clock_.get();
    environment.num_threads = 2;
    std::optional<TrainingState> end_state;
    auto trained = TrainModel(
        settings, /*seed=*/3, data_, std::move(start), environment,
        [](const TrainingProgress& /*progress*/) {},
        [&](const EpochEnd& end) -> absl::StatusOr<bool> {
          epochs_.push_back(end.epoch);
          if (end.epoch < last) return true;
          end_state = end.state();
          return false;
        });
    *state = std::move(end_state);
    return trained;
  }

  // That every place to be cut off at ends with the bits of an uninterrupted
  // run.
  void ExpectGoesOn(const TrainSettings& settings) {
    std::optional<TrainingState> end;
    NEUMF_ASSERT_OK_AND_ASSIGN(
        const TrainedModel whole,
        TrainUntil(settings, StartOf(settings), settings.epochs, &end));
    for (uint32_t cut = 1; cut <= settings.epochs; ++cut) {
      std::optional<TrainingState> state;
      NEUMF_ASSERT_OK(
          TrainUntil(settings, StartOf(settings), cut, &state).status());
      ASSERT_EQ(state->epochs_done(), cut);
      TrainingStart start = StartOf(settings);
      start.state = &*state;
      std::optional<TrainingState> resumed_end;
      NEUMF_ASSERT_OK_AND_ASSIGN(const TrainedModel resumed,
                                 TrainUntil(settings, std::move(start),
                                            settings.epochs, &resumed_end));
      EXPECT_EQ(resumed.parameters.values(), whole.parameters.values()) << cut;
      EXPECT_EQ(resumed.epoch_losses, whole.epoch_losses);
      EXPECT_EQ(resumed.num_examples, whole.num_examples);
      EXPECT_EQ(resumed_end->first_moment, end->first_moment);
      EXPECT_EQ(resumed_end->second_moment, end->second_moment);
      EXPECT_EQ(resumed_end->num_steps, end->num_steps);
    }
  }

  const EventLog log_ = MakeTinyLog(60, 80, 1);
  const Split split_ = *MakeSplit(log_, SplitKind::kD2l, HeldOut::kTest);
  const Interactions train_ = TrainPart(log_, split_);
  const ItemSequences sequences_{log_.num_users(), split_.train};
  TrainingData data_;
  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  std::vector<uint32_t> epochs_;  // that were told of
};

TEST_F(TrainingTest, GoesOnWithDenseAdam) {
  ExpectGoesOn(SettingsOf({{"schedule", "cosine,warmup:1"}}));
}

TEST_F(TrainingTest, GoesOnWithDropout) {
  ExpectGoesOn(SettingsOf({{"dropout", "0.3"}, {"sampler", "popularity"}}));
}

TEST_F(TrainingTest, GoesOnWithRowUpdates) {
  ExpectGoesOn(SettingsOf(
      {{"optimizer", "adamw"}, {"updates", "rows"}, {"weight_decay", "0.01"}}));
}

TEST_F(TrainingTest, GoesOnWithOneMomentAndWithNone) {
  ExpectGoesOn(SettingsOf({{"optimizer", "adagrad"}}));
  ExpectGoesOn(SettingsOf({{"optimizer", "sgd"}, {"momentum", "0.9"}}));
  ExpectGoesOn(SettingsOf({{"optimizer", "sgd"}}));
}

TEST_F(TrainingTest, GoesOnOverACatalog) {
  ExpectGoesOn(SettingsOf({{"loss", "softmax"},
                           {"batches", "events"},
                           {"candidates", "20"},
                           {"sampler", "uniform"}}));
}

TEST_F(TrainingTest, GoesOnWithIals) {
  ExpectGoesOn(SettingsOf({{"model", "mf"},
                           {"hidden", "none"},
                           {"biases", "none"},
                           {"loss", "ials"},
                           {"initialization", "normal"}}));
}

TEST_F(TrainingTest, TellsWhereItGoesOn) {
  const TrainSettings settings = SettingsOf({});
  std::optional<TrainingState> state;
  NEUMF_ASSERT_OK(TrainUntil(settings, StartOf(settings), 2, &state).status());
  epochs_.clear();
  TrainingStart start = StartOf(settings);
  start.state = &*state;
  std::optional<TrainingState> end;
  NEUMF_ASSERT_OK(TrainUntil(settings, std::move(start), 9, &end).status());
  EXPECT_THAT(epochs_, testing::ElementsAre(2, 3, 4));
}

}  // namespace
}  // namespace neumf
