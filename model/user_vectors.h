#pragma once

// The two vectors of one user in float32, of tables in either precision.
//
//   const UserVectors user(model.users, row);
//   query.user_gmf = user.gmf();
//   query.user_tower = user.tower();
//
// Plain values; of float32 tables they only point there.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model/serving_model.h"

namespace neumf {

class UserVectors {
 public:
  // `tables` must outlive it. REQUIRES: a row of the tables.
  UserVectors(const UserTables& tables, uint64_t row);
  // What gmf() and tower() gave stays where it is.
  UserVectors(UserVectors&&) = default;
  UserVectors& operator=(UserVectors&&) = default;

  const float* gmf() const { return gmf_; }      // [G]; null without
  const float* tower() const { return tower_; }  // [H]; null without

 private:
  std::vector<float> widened_;  // [G + H] of float16 tables, exactly
  const float* gmf_ = nullptr;
  const float* tower_ = nullptr;
};

// The tables with every value rounded to the nearest float16. INVALID_ARGUMENT,
// with the first, for values that float16 does not reach. REQUIRES: float32
// tables of finite values.
absl::StatusOr<UserTables> RoundToFloat16(const UserTables& tables);

}  // namespace neumf
