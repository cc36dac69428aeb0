#pragma once

// Snapshots without a checkpoint: the names, seen sets and popularity of a tiny
// model ("u0", "u1", ... and "i0", "i1", ...), scored by a FakeScorer.

#include <cstdint>
#include <memory>

#include "server/snapshot.h"
#include "tests/support/fake_scorer.h"
#include "tests/support/tiny_model.h"

namespace neumf {

struct TestSnapshot {
  std::unique_ptr<Snapshot> snapshot;
  std::shared_ptr<FakeScorer> scorer;  // the snapshot's
};

// The user vectors hold `version`, which is also the scorer's stamp.
TestSnapshot MakeTestSnapshot(uint64_t version,
                              const TinyModelOptions& options = {});

}  // namespace neumf
