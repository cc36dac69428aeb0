#pragma once

// Weights that were trained elsewhere, in PyTorch: the names and shapes of the
// published NeuMF models, and how each becomes a model of ours. docs/import.md
// lists them.

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trainer/model/parameters.h"
#include "trainer/tensor_file.h"

namespace neumf {

// A layout of a state dict.
struct ImportLayout {
  absl::string_view name;
  // The id whose row is the tables' first, where nothing else is said.
  uint64_t id_base = 0;

  // Modules of the state dict. The tables of the product and of the tower.
  absl::string_view user_gmf, item_gmf;
  absl::string_view user_tower, item_tower;
  // The tower's layers are <tower>.<number>.weight and .bias, by rising number;
  // numbers without weights (activations, dropout) are passed over.
  absl::string_view tower;
  absl::string_view linear;  // behind the tower, without ReLU; empty: none
  absl::string_view output;  // over [product, tower]
  // What some call the tables of the product instead; empty: nobody does.
  absl::string_view other_user_gmf, other_item_gmf;
};

// "d2l", "ncf" or "blog"; INVALID_ARGUMENT names the choices.
absl::StatusOr<ImportLayout> FindImportLayout(absl::string_view name);

// The model that `file` holds, with a row for each of the ids: a table's row of
// an id is the id, which must be a number, minus `id_base`. Rows of other ids
// are left out. A product or a tower may be missing, the other is the model then.
// A prefix "module." of all names is dropped.
//
// INVALID_ARGUMENT names the tensor that is missing, of another shape or none of
// the layout, or the id that has no row.
absl::StatusOr<Parameters> ImportWeights(
    const TensorFile& file, const ImportLayout& layout, uint64_t id_base,
    absl::Span<const std::string> user_ids,
    absl::Span<const std::string> item_ids);

}  // namespace neumf
