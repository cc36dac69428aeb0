#pragma once

// Tells the metrics how much of a checkpoint's item tables, which are most of
// it, has been packed.
//
// For one thread at a time.

#include "model/serving_model.h"
#include "server/server_metrics.h"

namespace neumf {

class LoadProgress {
 public:
  // Nothing is packed yet. `shape` and `metrics` must outlive this.
  LoadProgress(const ModelShape& shape, ServerMetrics* metrics);

  void Passed(const ItemRows& rows);

 private:
  const ModelShape& shape_;
  ServerMetrics* const metrics_;
  const double total_;  // values
  double passed_ = 0;
};

}  // namespace neumf
