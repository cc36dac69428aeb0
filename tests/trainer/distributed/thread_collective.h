#pragma once

// Threads that act as the processes of a distributed run.

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/mutex.h"
#include "trainer/distributed/collective.h"

namespace neumf {

// Runs `body` in `size` threads at once, each with a collective of its own.
void RunTogether(uint32_t size,
                 absl::FunctionRef<void(Collective& collective)> body);

}  // namespace neumf
