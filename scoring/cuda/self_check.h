#pragma once

// Looks at coarse scans before one serves: a kernel that is wrong on some
// device, whatever the reason, must not find candidates there, and of those that
// are right the fastest should.
//
// Users that lie among the items are made up, some items of the first, of a
// middle and of the last chunk are scanned for them by the very kernel that
// serves, and each coarse score is held against the exact one of the same
// device.

#include "absl/status/statusor.h"
#include "model/serving_model.h"
#include "scoring/cuda/coarse_scales.h"
#include "scoring/cuda/pass_kernels.h"
#include "scoring/cuda/pass_size.h"
#include "scoring/cuda/workspace.h"

namespace neumf::cuda {

// How far the errors of a user's coarse scores are apart at most, over the margin
// that is granted to that user: a scan is right where this is at most 1.
// Infinite when an item was missed or came twice, or no user has a bound.
// REQUIRES: `kernels` are coarse, and those of `workspace`.
absl::StatusOr<double> MeasureCoarseError(
    const PassKernels& kernels, Workspace& workspace, const ModelShape& shape,
    const PassSizes& sizes, const ItemRanges& ranges, float score_scale);

// Users whose scan is timed.
constexpr uint32_t kTimedUsers = 32;

// What a scan of a part of the catalog takes the device, for that many users
// whose lists take nothing. REQUIRES: as above, and that the workspace has room
// for them.
absl::StatusOr<double> MeasureScanSeconds(const PassKernels& kernels,
                                          Workspace& workspace,
                                          const ModelShape& shape);

}  // namespace neumf::cuda
