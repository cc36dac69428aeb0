#pragma once

// The loops of the fused step that no BLAS has: each over all rows of a
// row-major matrix, compiled for every instruction set that the machine may
// have (Highway's dispatch) and vectorized by the compiler.
//
// B groups of S pairs each, so pair n belongs to group n / S; N = B * S.

#include <cstddef>
#include <cstdint>

#include "model/serving_model.h"

namespace neumf {

// out[i] = a[i] * b[i % width], for i < rows * width.
void MultiplyRows(const float* a, const float* b, size_t rows, size_t width,
                  float* out);

// scores[n] += user[n / S] . item[n]; user [B, width], item [N, width].
void AddProductScores(const float* user, const float* item, size_t groups,
                      size_t group_size, size_t width, float* scores);

// The gradient of the above by both sides: d_user[g] = sum of d_scores[n] *
// item[n] over the group, d_item[n] = d_scores[n] * user[n / S].
void ProductGradient(const float* user, const float* item,
                     const float* d_scores, size_t groups, size_t group_size,
                     size_t width, float* d_user, float* d_item);

// x[n] = act(from[n] + shift[n / S]); x and from [N, width], which may be the
// same, shift [B, width]. A bias is a shift of one group.
void ShiftAndActivate(const float* from, const float* shift, size_t groups,
                      size_t group_size, size_t width, Activation activation,
                      float* x);

// d_x *= act'(x), from the activation's values scale * x; x [rows, width].
// sums[c] += the sum of column c of what d_x becomes, unless it is null.
void ActivationGradient(const float* x, float scale, size_t rows, size_t width,
                        Activation activation, float* d_x, float* sums);

// scores[n] += x[n] . head; x [N, width].
void AddHeadScores(const float* x, const float* head, size_t rows, size_t width,
                   float* scores);

// d_x[n] = d_scores[n] * head, d_head += sum of d_scores[n] * x[n].
void HeadGradient(const float* x, const float* head, const float* d_scores,
                  size_t rows, size_t width, float* d_x, float* d_head);

// sums[g] = the sum of x[n] over the group; x [N, width], sums [B, width].
void SumGroups(const float* x, size_t groups, size_t group_size, size_t width,
               float* sums);

// sums[c] += the sum of column c of x [rows, width].
void AddColumnSums(const float* x, size_t rows, size_t width, float* sums);

// Row to[i] of `table` += factors[i] * row from[i] of x, i < count, in this
// order; both of rows of `width`.
void AddRowsTo(const float* x, const uint32_t* from, const float* factors,
               const uint32_t* to, size_t count, size_t width, float* table);

// y[i] += factor * x[i], i < count.
void AddScaled(float factor, const float* x, size_t count, float* y);

// Divides each row of x by max(its norm, 1e-12), which is left in norms [rows].
void NormalizeRows(size_t rows, size_t width, float* x, float* norms);

// Turns the gradient by normalized rows y into that by the rows before, in
// place: (d - y (y . d)) / norm. Nothing flows where the norm was held up.
void NormalizeGradient(const float* y, const float* norms, size_t rows,
                       size_t width, float* d);

}  // namespace neumf
