#pragma once

// The lines of a file of features, whatever its format, as ids and names of
// feature values. features.h has the formats.

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "data/features.h"

namespace neumf {

// Takes one line. An error says what is wrong with it.
using FeatureLineSink = absl::FunctionRef<absl::Status(
    absl::string_view id, std::vector<std::string> names)>;

// Gives every line of `content` to `sink`, in file order. INVALID_ARGUMENT when
// the name of `path` is that of no format or of one about the other entity; for
// the first line that cannot be used, by the sink's word too, "line 7: ...".
absl::Status ForEachFeatureLine(absl::string_view path,
                                absl::string_view content, Entity entity,
                                FeatureLineSink sink);

}  // namespace neumf
