#pragma once

// The activation of the tower layers, one value after the other.
//
// Every backend that has no vector form of an activation calls this very
// function, which is what makes their bits equal: tanh and exp of two math
// libraries differ in the last place.

#include <cstddef>

#include "model/serving_model.h"

namespace neumf {

// values[i] = act(values[i]) for i < count.
void Activate(Activation activation, float* values, size_t count);

}  // namespace neumf
