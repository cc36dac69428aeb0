#pragma once

// Which settings go together.

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "trainer/settings.h"

namespace neumf {

// INVALID_ARGUMENT that says which settings are at odds, or out of range.
absl::Status ValidateSettings(const TrainSettings& settings);

// INVALID_ARGUMENT for a setting among `given`, the names that somebody asked
// for, that changes nothing: the loss, the optimizer or what else it is for was
// not chosen. A default value does no harm, so it may stay, but for alpha's:
// without two pretrained parts nothing is mixed, by halves neither.
absl::Status CheckGivenSettings(absl::Span<const std::string> given,
                                const TrainSettings& settings);

}  // namespace neumf
