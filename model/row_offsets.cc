#include "model/row_offsets.h"

#include <cstddef>

#include "absl/strings/str_cat.h"

namespace neumf {

absl::Status CheckRowOffsets(absl::Span<const uint64_t> offsets, uint64_t end) {
  if (offsets.empty()) return absl::InvalidArgumentError("offsets are missing");
  if (offsets.front() != 0 || offsets.back() != end) {
    return absl::InvalidArgumentError(
        absl::StrCat("offsets go from ", offsets.front(), " to ",
                     offsets.back(), ", not from 0 to ", end));
  }
  for (size_t row = 0; row + 1 < offsets.size(); ++row) {
    if (offsets[row] > offsets[row + 1]) {
      return absl::InvalidArgumentError(
          absl::StrCat("row ", row, ": offsets descend"));
    }
  }
  return absl::OkStatus();
}

}  // namespace neumf
