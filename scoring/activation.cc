#include "scoring/activation.h"

#include <cmath>

namespace neumf {
namespace {

// -0.0 becomes +0.0, as it does in the vector form.
float Relu(float x) { return x > 0.0F ? x : 0.0F; }
float Tanh(float x) { return std::tanh(x); }
float Sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

template <float (*kFunction)(float)>
void ApplyToAll(float* values, size_t count) {
  for (size_t i = 0; i < count; ++i) values[i] = kFunction(values[i]);
}

}  // namespace

void Activate(Activation activation, float* values, size_t count) {
  switch (activation) {
    case Activation::kRelu:
      return ApplyToAll<Relu>(values, count);
    case Activation::kTanh:
      return ApplyToAll<Tanh>(values, count);
    case Activation::kSigmoid:
      return ApplyToAll<Sigmoid>(values, count);
  }
}

}  // namespace neumf
