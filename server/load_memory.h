#pragma once

// How much memory of the host a load takes, known before a byte of data is
// read.
//
// Linux promises memory that it does not have, and kills whoever uses it; so the
// budget is what stops a load, not the allocation.

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "base/available_memory.h"
#include "checkpoint/checkpoint_reader.h"
#include "scoring/scorer.h"

namespace neumf {

// Upper bounds, close to what is measured: pages count whole, huge ones too.
struct LoadMemory {
  uint64_t resident_bytes = 0;  // of the loaded version
  uint64_t peak_bytes = 0;      // while it is loaded, those included
};

// Of a checkpoint that so many threads load, but for the parts that are kept of
// another. `scorer` is what its scorer takes of the host.
LoadMemory PredictLoadMemory(const CheckpointReader& reader,
                             const ScorerMemory& scorer, size_t num_threads,
                             const ModelParts& kept = {});

// RESOURCE_EXHAUSTED, with all figures, when more than nine tenths of what is
// available would be taken: the last one is for requests, and for what others
// take meanwhile.
absl::Status CheckBudget(const LoadMemory& needed,
                         const AvailableMemory& available);

}  // namespace neumf
