#pragma once

// The one BLAS routine of the trainer, with row-major matrices and without
// fourteen arguments. Several threads may call it at once; each call runs on
// its caller alone when SetTorchThreads() has been called.

#include <cblas.h>

#include <cstddef>

namespace neumf {

// A row-major matrix; row r begins at data + r * stride.
struct Matrix {
  const float* data = nullptr;
  size_t rows = 0;
  size_t cols = 0;
  size_t stride = 0;
  bool transposed = false;

  Matrix() = default;
  Matrix(const float* values, size_t num_rows, size_t num_cols)
      : data(values), rows(num_rows), cols(num_cols), stride(num_cols) {}
  Matrix(const float* values, size_t num_rows, size_t num_cols,
         size_t row_stride)
      : data(values), rows(num_rows), cols(num_cols), stride(row_stride) {}
};

inline Matrix Transpose(Matrix matrix) {
  matrix.transposed = !matrix.transposed;
  return matrix;
}

// c = a b, or c += a b; row r of c begins at c + r * c_stride. The inner sizes
// of a and b must agree.
inline void MatMul(const Matrix& a, const Matrix& b, bool accumulate, float* c,
                   size_t c_stride) {
  const size_t m = a.transposed ? a.cols : a.rows;
  const size_t k = a.transposed ? a.rows : a.cols;
  const size_t n = b.transposed ? b.rows : b.cols;
  if (m == 0 || n == 0) return;
  cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
              b.transposed ? CblasTrans : CblasNoTrans, static_cast<int>(m),
              static_cast<int>(n), static_cast<int>(k), 1.0F, a.data,
              static_cast<int>(a.stride), b.data, static_cast<int>(b.stride),
              accumulate ? 1.0F : 0.0F, c, static_cast<int>(c_stride));
}

}  // namespace neumf
