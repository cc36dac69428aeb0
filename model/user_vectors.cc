#include "model/user_vectors.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/float16.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

const float* RowOf(const AlignedMatrix& table, uint64_t row) {
  return table.empty() ? nullptr : table.row(row).data();
}

// Into `values`; returns where they end.
float* Widen(const Float16Matrix& table, uint64_t row, float* values) {
  if (table.empty()) return values;
  const absl::Span<const Float16> from = table.row(row);
  return std::transform(from.begin(), from.end(), values, ToFloat);
}

absl::StatusOr<Float16Matrix> Round(const char* name,
                                    const AlignedMatrix& table) {
  Float16Matrix rounded(table.rows(), table.cols());
  for (size_t i = 0; i < table.size(); ++i) {
    rounded.data()[i] = ToFloat16(table.data()[i]);
    if (rounded.data()[i].magnitude() < Float16::kInfinity) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": value ", i % table.cols(), " of row ", i / table.cols(), ", ",
        table.data()[i], ", is beyond the ", Float16::kLargest, " of float16"));
  }
  return rounded;
}

}  // namespace

UserVectors::UserVectors(const UserTables& tables, uint64_t row)
    : gmf_(RowOf(tables.gmf, row)), tower_(RowOf(tables.tower, row)) {
  if (!tables.is_float16()) return;
  widened_.resize(size_t{tables.gmf16.cols()} + tables.tower16.cols());
  float* const tower = Widen(tables.gmf16, row, widened_.data());
  Widen(tables.tower16, row, tower);
  if (!tables.gmf16.empty()) gmf_ = widened_.data();
  if (!tables.tower16.empty()) tower_ = tower;
}

absl::StatusOr<UserTables> RoundToFloat16(const UserTables& tables) {
  UserTables rounded;
  NEUMF_ASSIGN_OR_RETURN(rounded.gmf16, Round("user.gmf", tables.gmf));
  NEUMF_ASSIGN_OR_RETURN(rounded.tower16, Round("user.tower", tables.tower));
  return rounded;
}

}  // namespace neumf
