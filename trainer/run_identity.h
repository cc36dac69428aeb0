#pragma once

// What makes two training runs the same: whoever goes on with a state, or
// trains together with other processes, compares it.

#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "trainer/train_command.h"
#include "trainer/train_task.h"
#include "trainer/training_state.h"

namespace neumf {

// Every setting of every stage, what the flags say about choosing an epoch, the
// seed, the threads, the data, and the content of the files that settings name.
// Names are those of the flags where there is one. Errors are those of reading
// the files.
absl::StatusOr<RunIdentity> RunIdentityOf(const TrainOptions& options,
                                          const TrainTask& task,
                                          FileSystem& files);

}  // namespace neumf
