#include "trainer/stage_inputs.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "trainer/settings_parts.h"
#include "trainer/step/negative_sampler.h"

namespace neumf {
namespace {

// Without times a user's events are in the order of the file, which says
// nothing about what came first.
absl::Status CheckOrder(const TrainSettings& settings, const TrainTask& task) {
  const char* const flag = settings.history > 0   ? "--history"
                           : settings.targets > 1 ? "--targets"
                           : settings.recency > 0 ? "--recency"
                                                  : nullptr;
  if (flag == nullptr || task.log.has_times) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      flag,
      " goes by the order of a user's events, but the data does not say "
      "when events were: name the column of times, or leave it out"));
}

absl::Status CheckNegatives(const TrainSettings& settings,
                            const TrainingData& data,
                            absl::Span<const std::string> user_ids) {
  if (!Draws(settings)) return absl::OkStatus();
  const std::optional<uint32_t> user = NegativeSampler::UserWithoutNegatives(
      settings.sampler, *data.train, data.held_out);
  if (!user.has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "user '", user_ids[*user], "' has all ", data.train->num_items(),
      " items, so there is no negative to draw: take the user's events out of "
      "the data, or take --sampler uniform"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<const StageInputs>> StageInputs::Create(
    const TrainSettings& settings, const TrainTask& task, FileSystem& files) {
  NEUMF_RETURN_IF_ERROR(CheckOrder(settings, task));
  auto features = std::make_unique<TaskFeatures>();
  NEUMF_ASSIGN_OR_RETURN(*features,
                         ReadTaskFeatures(settings, task.log, files));
  NEUMF_ASSIGN_OR_RETURN(const ModelSpec spec,
                         SpecOf(settings, TrainingDataOf(task, *features)));
  auto inputs = absl::WrapUnique<const StageInputs>(
      new StageInputs(settings, task, std::move(features), spec));
  NEUMF_RETURN_IF_ERROR(
      CheckNegatives(settings, inputs->data(), task.log.user_ids));
  return inputs;
}

StageInputs::StageInputs(const TrainSettings& settings, const TrainTask& task,
                         std::unique_ptr<TaskFeatures> features,
                         const ModelSpec& spec)
    : features_(std::move(features)),
      exposures_(settings.low_ratings == LowRatings::kPositives
                     ? std::make_unique<const Exposures>(Exposures{
                           task.Seen(), ItemSequences(task.log.num_users(),
                                                      task.TrainAndLowRated())})
                     : nullptr),
      data_(DataOf(task)),
      spec_(spec),
      item_bags_(task.log.num_items(), data_.item_features),
      user_bags_(spec, data_.user_features, data_.sequences) {}

TrainingData StageInputs::DataOf(const TrainTask& task) const {
  TrainingData data = TrainingDataOf(task, *features_);
  if (exposures_ == nullptr) return data;
  data.train = &exposures_->train;
  data.sequences = &exposures_->sequences;
  return data;
}

}  // namespace neumf
