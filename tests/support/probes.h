#pragma once

// Answers written down by name, as an exporter does.

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "checkpoint/manifest.h"
#include "eval/probe_check.h"
#include "tests/support/tiny_model.h"

namespace neumf {

// The reference backend over `tiny`.
std::unique_ptr<Scorer> MakeReferenceScorer(const TinyModel& tiny);

// All but the scorer is `tiny`'s; both must outlive the result.
ProbedModel MakeProbedModel(const TinyModel& tiny, const Scorer& scorer);

// The best `k` items for the user. REQUIRES: the model knows the user.
Probe MakeProbe(const ProbedModel& model, absl::string_view user_id,
                uint32_t k);

}  // namespace neumf
