#include "scoring/item_rows_progress.h"

#include "absl/strings/str_cat.h"

namespace neumf {

ItemRowsProgress::ItemRowsProgress(const ModelShape& shape)
    : num_items_(shape.num_items) {
  tables_[static_cast<size_t>(ItemTable::kTower)].expected = shape.has_tower();
  tables_[static_cast<size_t>(ItemTable::kGmf)].expected = shape.gmf_width > 0;
  tables_[static_cast<size_t>(ItemTable::kBias)].expected = shape.has_item_bias;
}

absl::Status ItemRowsProgress::Advance(const ItemRows& rows) {
  Table& table = tables_[static_cast<size_t>(rows.table)];
  const char* const name = ItemTableName(rows.table);
  if (!table.expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": the model's shape has no such table"));
  }
  if (rows.first_row != table.next_row) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": rows from ", rows.first_row,
                     " on came where row ", table.next_row, " was next"));
  }
  if (rows.num_rows > num_items_ - table.next_row) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ", rows.num_rows, " rows from ", rows.first_row,
                     " on reach past the last of ", num_items_, " items"));
  }
  table.next_row += rows.num_rows;
  return absl::OkStatus();
}

absl::Status ItemRowsProgress::CheckComplete() const {
  for (size_t i = 0; i < tables_.size(); ++i) {
    if (!tables_[i].expected || tables_[i].next_row == num_items_) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        ItemTableName(static_cast<ItemTable>(i)), ": only ",
        tables_[i].next_row, " of ", num_items_, " rows were added"));
  }
  return absl::OkStatus();
}

}  // namespace neumf
