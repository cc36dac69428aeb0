#pragma once

// Between the tables of embeddings in global memory and a tile's matrices. Of a
// row of a table, which is a column of the matrix, neighbouring threads take
// neighbouring components: they read and write in a row.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "trainer/cuda/fixed_point.h"
#include "trainer/cuda/kernels/products.h"
#include "trainer/cuda/kernels/step_views.h"

namespace neumf::cuda {

// Column c of `to` becomes row rows[c] of the table.
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE void Gather(Thread& thread, const float* parameters,
                         const TableView& table, const uint32_t* rows,
                         uint32_t columns, const MatrixView& to) {
  const float* const values = parameters + table.offset;
  for (uint32_t i = thread.thread(); i < columns * table.width; i += kThreads) {
    const uint32_t column = i / table.width;
    const uint32_t k = i % table.width;
    to.at(k, column) = values[uint64_t{rows[column]} * table.width + k];
  }
}

// Adds column c of `from` to the gradient of row rows[c].
template <uint32_t kThreads, typename Thread>
NEUMF_DEVICE void Scatter(Thread& thread, const GradientView& gradient,
                          const TableView& table, const uint32_t* rows,
                          uint32_t columns, const MatrixView& from) {
  uint64_t* const cells = gradient.cells + table.offset;
  for (uint32_t i = thread.thread(); i < columns * table.width; i += kThreads) {
    const uint32_t column = i / table.width;
    const uint32_t k = i % table.width;
    AddTerm(thread, gradient.fixed, from.at(k, column),
            gradient.fixed.example_limit,
            cells + uint64_t{rows[column]} * table.width + k,
            gradient.out_of_bounds);
  }
}

}  // namespace neumf::cuda
