#pragma once

// The CPU backend for the scorer tests: AllBackends() is the reference, and the
// CPU backend with each instruction set of this machine that its kernel was
// compiled for, on 1, 2, 3 and 5 threads.

#include <cstddef>
#include <vector>

#include "tests/scoring/scorer_fixture.h"

namespace neumf {

// On `num_threads` threads: with the best instruction set, and with each.
BackendCase CpuBackend(size_t num_threads);
std::vector<BackendCase> CpuBackends(size_t num_threads);

}  // namespace neumf
