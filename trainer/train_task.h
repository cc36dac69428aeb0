#pragma once

// What a training run works on: the data, read and split.

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "data/event_log.h"
#include "data/features.h"
#include "data/interactions.h"
#include "data/item_sequences.h"
#include "data/split.h"
#include "eval/protocols.h"
#include "trainer/data_source.h"
#include "trainer/model_training.h"
#include "trainer/settings.h"

namespace neumf {

struct TaskOptions {
  DataSource data;
  std::string protocol;  // empty: what goes with the data's format
  std::string split;     // empty: what goes with the protocol
  std::string held_out = "test";
  uint64_t split_seed = 0;
  double split_ratio = 0.1;
  std::optional<float> min_rating;  // none: 4 for triplet, else every event
};

struct TrainTask {
  EventLog log;
  Protocol protocol = Protocol::kD2l;
  SplitOptions split_options;
  Split split;
  Interactions train;
  ItemSequences sequences;

  bool is_measured() const { return split_options.kind != SplitKind::kNone; }
  // The train events and those that were rated low, by user row, then by time.
  std::vector<Event> TrainAndLowRated() const;
  // The same, which is what answers leave out.
  Interactions Seen() const;
};

// Reads and splits. INVALID_ARGUMENT when nothing would be held out though the
// split wants it.
absl::StatusOr<TrainTask> PrepareTask(const TaskOptions& options,
                                      FileSystem& files);

// The features that the settings name, by the rows of the data.
struct TaskFeatures {
  std::optional<FeatureTable> users;
  std::optional<FeatureTable> items;
};
absl::StatusOr<TaskFeatures> ReadTaskFeatures(const TrainSettings& settings,
                                              const EventLog& log,
                                              FileSystem& files);

// What training sees of both; they must outlive it.
TrainingData TrainingDataOf(const TrainTask& task,
                            const TaskFeatures& features);

}  // namespace neumf
