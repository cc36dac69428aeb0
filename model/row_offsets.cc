#include "model/row_offsets.h"

#include <algorithm>
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

absl::Status ForRowRanges(
    ThreadPool& threads, uint64_t num_rows,
    absl::FunctionRef<absl::Status(uint64_t begin, uint64_t end)> body) {
  // Enough work to be worth a thread's while, small enough to share evenly.
  constexpr uint64_t kRangeRows = 8192;
  const uint64_t num_ranges = (num_rows + kRangeRows - 1) / kRangeRows;
  return threads.TryFor(num_ranges, [&](size_t index) {
    const uint64_t begin = index * kRangeRows;
    return body(begin, std::min(begin + kRangeRows, num_rows));
  });
}

}  // namespace neumf
