#pragma once

// A model's parameters as the kernels see them.

#include "trainer/cuda/kernels/step_views.h"
#include "trainer/model/model_spec.h"
#include "trainer/model/parameters.h"

namespace neumf::cuda {

// REQUIRES: a spec that CheckDeviceTrains() lets pass, and its layout.
ModelView ModelViewOf(const ModelSpec& spec, const ParameterLayout& layout);

}  // namespace neumf::cuda
