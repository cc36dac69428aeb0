#pragma once

// Whether the GPU answers as the CPU does, bit for bit.

#include "absl/status/status.h"
#include "bench/figures.h"

namespace neumf {

struct AnswerOptions {
  std::string towers;  // directory with trained towers
  bool quick = false;
};

// gpu.same_items.<model>: the share of rankings whose items, scores and counts
// of eligible items are those of the CPU backend: of the three towers first,
// then of models of all kinds and sizes with random weights, in batches of 1 to
// 1024 users and all kinds of queries. INTERNAL, naming the first difference,
// when it is not all; other errors are the device's.
absl::Status CompareAnswers(const AnswerOptions& options,
                            const FigureWriter& figures);

}  // namespace neumf
