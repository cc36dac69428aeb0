#include "trainer/train_task.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

absl::StatusOr<SplitOptions> SplitOf(const TaskOptions& options,
                                     Protocol protocol) {
  SplitOptions split;
  NEUMF_ASSIGN_OR_RETURN(split.held_out,
                         ParseHeldOut("--held_out", options.held_out));
  split.seed = options.split_seed;
  split.ratio = options.split_ratio;
  split.min_rating = options.min_rating;
  return SplitFor(protocol, options.split, split);
}

absl::StatusOr<std::optional<FeatureTable>> ReadIfNamed(
    absl::string_view flag, const std::string& path,
    absl::Span<const std::string> ids, Entity entity, FileSystem& files) {
  if (path.empty()) return std::optional<FeatureTable>();
  absl::StatusOr<FeatureTable> table = ReadFeatures(files, path, ids, entity);
  if (!table.ok()) return Annotate(table.status(), flag);
  return std::optional<FeatureTable>(*std::move(table));
}

}  // namespace

std::vector<Event> TrainTask::TrainAndLowRated() const {
  std::vector<Event> events = split.train;
  events.insert(events.end(), split.low_rated.begin(), split.low_rated.end());
  std::stable_sort(events.begin(), events.end(),
                   [](const Event& a, const Event& b) {
                     return std::tie(a.user, a.time) < std::tie(b.user, b.time);
                   });
  return events;
}

Interactions TrainTask::Seen() const {
  return Interactions(log.num_users(), log.num_items(), TrainAndLowRated());
}

absl::StatusOr<TrainTask> PrepareTask(const TaskOptions& options,
                                      FileSystem& files) {
  NEUMF_ASSIGN_OR_RETURN(
      const Protocol protocol,
      ProtocolFor(options.protocol, options.data.format, options.split));
  NEUMF_ASSIGN_OR_RETURN(const SplitOptions split_options,
                         SplitOf(options, protocol));
  NEUMF_ASSIGN_OR_RETURN(EventLog log, ReadEvents(files, options.data));
  NEUMF_ASSIGN_OR_RETURN(Split split, MakeSplit(log, split_options));
  if (split_options.kind != SplitKind::kNone && split.held_out.empty()) {
    return absl::InvalidArgumentError(
        "the split holds nothing out: no user has two events; take --split "
        "none");
  }
  Interactions train(log.num_users(), log.num_items(), split.train);
  ItemSequences sequences(log.num_users(), split.train);
  return TrainTask{std::move(log),   protocol,         split_options,
                   std::move(split), std::move(train), std::move(sequences)};
}

absl::StatusOr<TaskFeatures> ReadTaskFeatures(const TrainSettings& settings,
                                              const EventLog& log,
                                              FileSystem& files) {
  TaskFeatures features;
  NEUMF_ASSIGN_OR_RETURN(features.users,
                         ReadIfNamed("--user_features", settings.user_features,
                                     log.user_ids, Entity::kUser, files));
  NEUMF_ASSIGN_OR_RETURN(features.items,
                         ReadIfNamed("--item_features", settings.item_features,
                                     log.item_ids, Entity::kItem, files));
  return features;
}

TrainingData TrainingDataOf(const TrainTask& task,
                            const TaskFeatures& features) {
  TrainingData data;
  data.train = &task.train;
  data.sequences = &task.sequences;
  data.held_out = task.split.held_out;
  data.user_features = features.users ? &*features.users : nullptr;
  data.item_features = features.items ? &*features.items : nullptr;
  return data;
}

}  // namespace neumf
