#pragma once

// Moves every parameter by its gradient: optimizer.h's dense updates, element by
// element as step/optimizer_kernels.cc does them, and clears the gradient for the
// next step. 40 bytes a parameter are read and written, little beside a batch.

#include <cmath>
#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "trainer/cuda/fixed_point.h"
#include "trainer/cuda/kernels/step_views.h"
#include "trainer/step/optimizer_kernels.h"

namespace neumf::cuda {

struct UpdateParameters {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kMinBlocks = 4;

  UpdateRule rule;
  GradientView gradient;
  uint64_t num_parameters = 0;
  // What the groups' losses add up to is divided by: B, or 1 for their sum.
  double divisor = 1;
  // [num_parameters]; a moment that the formula has not is null.
  float* parameters = nullptr;
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  double* loss = nullptr;  // gets the sum over the groups

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const {
    const double scale = gradient.fixed.scale;
    const uint64_t first =
        uint64_t{thread.block()} * kThreads + thread.thread();
    const uint64_t stride = uint64_t{thread.num_blocks()} * kThreads;
    for (uint64_t i = first; i < num_parameters; i += stride) {
      const double sum = SumOf(gradient.cells[i], scale);
      gradient.cells[i] = 0;
      Move(thread, i, static_cast<float>(sum / divisor));
    }
    if (first != 0) return;
    // Not finite, which ends training, when a term did not fit.
    uint64_t* const cell = gradient.cells + num_parameters;
    *loss = *gradient.out_of_bounds != 0 ? static_cast<double>(INFINITY)
                                         : SumOf(*cell, scale);
    *cell = 0;
  }

 private:
  struct Element {
    float gradient;
    float parameter;
    float first;
    float second;
  };

  template <typename Thread>
  NEUMF_DEVICE void Move(Thread& thread, uint64_t i, float sum) const {
    Element e = {};
    e.gradient = thread.Fma(rule.decay, parameters[i], sum);
    e.parameter = rule.shrink * parameters[i];
    if (first_moment != nullptr) e.first = first_moment[i];
    if (second_moment != nullptr) e.second = second_moment[i];
    MoveElement(thread, e);
    parameters[i] = e.parameter;
    if (first_moment != nullptr) first_moment[i] = e.first;
    if (second_moment != nullptr) second_moment[i] = e.second;
  }

  template <typename Thread>
  NEUMF_DEVICE void MoveElement(Thread& thread, Element& e) const {
    switch (rule.formula) {
      case UpdateFormula::kSgd:
        e.parameter = thread.Fma(-rule.rate, e.gradient, e.parameter);
        break;
      case UpdateFormula::kSgdMomentum:
        e.first = thread.Fma(rule.momentum, e.first, e.gradient);
        e.parameter = thread.Fma(-rule.rate, e.first, e.parameter);
        break;
      case UpdateFormula::kAdagrad:
        e.second = thread.Fma(e.gradient, e.gradient, e.second);
        e.parameter = thread.Fma(-rule.rate,
                                 e.gradient / (sqrtf(e.second) + rule.epsilon),
                                 e.parameter);
        break;
      case UpdateFormula::kRmsprop:
        e.parameter =
            thread.Fma(-rule.rate, Normalized(thread, e), e.parameter);
        break;
      case UpdateFormula::kRmspropMomentum:
        e.first = thread.Fma(rule.momentum, e.first, Normalized(thread, e));
        e.parameter = thread.Fma(-rule.rate, e.first, e.parameter);
        break;
      case UpdateFormula::kAdam:
        e.first = thread.Fma(rule.beta1, e.first, rule.rest1 * e.gradient);
        MoveSecond(thread, e);
        e.parameter =
            thread.Fma(-rule.rate,
                       e.first / thread.Fma(sqrtf(e.second), rule.root_scale,
                                            rule.epsilon),
                       e.parameter);
        break;
    }
  }

  template <typename Thread>
  NEUMF_DEVICE void MoveSecond(Thread& thread, Element& e) const {
    const float square = e.gradient * e.gradient;
    e.second = thread.Fma(rule.beta2, e.second, rule.rest2 * square);
  }

  // The gradient over the root of the mean of its squares.
  template <typename Thread>
  NEUMF_DEVICE float Normalized(Thread& thread, Element& e) const {
    MoveSecond(thread, e);
    return e.gradient / (sqrtf(e.second) + rule.epsilon);
  }
};

}  // namespace neumf::cuda
