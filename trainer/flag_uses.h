#pragma once

// Which flags a command reads, and when. A flag that was given and is not read
// would be believed to have done something.

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trainer/train_task.h"

namespace neumf {

// The commands that read the flag, "train and import"; empty for one that there
// is not.
std::string CommandsThatRead(absl::string_view flag);

// INVALID_ARGUMENT for the first of `given`, names of flags, that `command` does
// not read.
absl::Status CheckFlagsOfCommand(absl::string_view command,
                                 absl::Span<const std::string> given);

// INVALID_ARGUMENT for the first of `given` that changes nothing with the data,
// the protocol and the split of `task`, or when that does not exist.
absl::Status CheckFlagsOfTask(const TaskOptions& task,
                              absl::Span<const std::string> given);

}  // namespace neumf
