#pragma once

// The flags of neumf-train that are settings: one each.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/settings.h"

namespace neumf {

// Puts what the flags say into `*settings`; the others stay. Returns the names
// of those that were given. INVALID_ARGUMENT for a text that a setting does not
// take. Call it after the flags are parsed.
absl::StatusOr<std::vector<std::string>> SetGivenSettings(
    TrainSettings* settings);

}  // namespace neumf
