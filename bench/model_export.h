#pragma once

// Hands a model and its users to a program in another language: raw
// little-endian float32 files, and a `model.json` that says their shapes.

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "bench/bench_model.h"

namespace neumf {

// Into `directory`, which must be there:
//   model.json        num_items, gmf_width, tower_widths, head_bias, k, and for
//                     each user its seen rows
//   item.tower.f32    [I, H]       item.gmf.f32   [I, G]
//   user.tower.f32    [users, H]   user.gmf.f32   [users, G]
//   tower.N.weight.f32 [out, in], tower.N.bias.f32 [out], N from 2 on
//   head.weight.f32   [HL]
// INVALID_ARGUMENT for a model with item biases, without one of the two parts,
// or with another activation than ReLU: the graphs of peers have no such thing.
absl::Status ExportModel(const BenchModel& model,
                         absl::Span<const RankQuery> users,
                         absl::string_view directory);

}  // namespace neumf
