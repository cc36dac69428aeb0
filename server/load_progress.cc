#include "server/load_progress.h"

#include <cstdint>

namespace neumf {
namespace {

// Values in a row of `table`.
uint64_t RowWidth(const ModelShape& shape, ItemTable table) {
  switch (table) {
    case ItemTable::kTower:
      return shape.tower_width();
    case ItemTable::kGmf:
      return shape.gmf_width;
    case ItemTable::kBias:
      return 1;
  }
  return 0;
}

uint64_t NumItemValues(const ModelShape& shape) {
  return shape.num_items * (shape.tower_width() + shape.gmf_width +
                            (shape.has_item_bias ? 1 : 0));
}

}  // namespace

LoadProgress::LoadProgress(const ModelShape& shape, ServerMetrics* metrics)
    : shape_(shape),
      metrics_(metrics),
      total_(static_cast<double>(NumItemValues(shape))) {
  metrics_->SetLoadProgress(0);
}

void LoadProgress::Passed(const ItemRows& rows) {
  passed_ += static_cast<double>(rows.num_rows * RowWidth(shape_, rows.table));
  metrics_->SetLoadProgress(passed_ / total_);
}

}  // namespace neumf
