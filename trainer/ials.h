#pragma once

// iALS: matrix factorization by alternating least squares over ALL pairs of
// users and items (Hu, Koren, Volinsky 2008), with the penalty of a row scaled
// by how often the row is seen (Rendle et al. 2022). With the score
// s(u, i) = p_u . q_i it minimizes
//
//     sum over events (u, i) of  w (s(u, i) - t)^2
//   + a0  sum over all pairs of  s(u, i)^2
//   + l2 (sum over users of (W_u + a0 I) |p_u|^2 +
//         sum over items of (W_i + a0 U) |q_i|^2)
//
// where an event's weight w and target t are 1 unless they are given, and W is
// the sum of the weights of a row's events. With the items fixed that is a
// small linear system for each user, solved exactly, and the other way round:
//
//   (sum of w q qt  +  a0 Qt Q  +  l2 (W_u + a0 I) 1) p_u  =  sum of w t q
//
// No negatives are drawn, and there is no learning rate. 8 to 16 epochs do.
//
//   ThreadPool pool(2, "ials");
//   Ials ials(train, options, &pool);
//   InitializeForIals(options.factors, random, items);
//   for (int epoch = 0; epoch < 12; ++epoch) {
//     NEUMF_RETURN_IF_ERROR(ials.Epoch(users, items));
//   }
//
// Belongs to one thread, which the pool's threads help. They call BLAS side by
// side, so BLAS should not start threads of its own: see SetTorchThreads(). The
// same input gives the same bits on any number of threads of the pool.

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/thread_pool.h"
#include "data/interactions.h"
#include "trainer/random.h"

namespace neumf {

struct IalsOptions {
  uint32_t factors = 64;  // d, at least 1. Time grows with its square and cube
  // The strength of the penalty, at least 0. With 0 a system may have no single
  // solution, which is an error.
  double l2 = 0.01;
  // a0, at least 0: how much a pair without an event is held to be a 0. Lower
  // it where few of the pairs are events.
  double unobserved_weight = 0.1;
};

// What single events say, each span parallel to Interactions::items() or empty:
// then every value is 1.
struct IalsEvents {
  absl::Span<const float> weights;  // at least 0
  absl::Span<const float> targets;
};

class Ials {
 public:
  // `train`, `pool` and what the spans show must outlive this.
  Ials(const Interactions& train, const IalsOptions& options, ThreadPool* pool,
       const IalsEvents& events = IalsEvents());
  Ials(const Ials&) = delete;
  Ials& operator=(const Ials&) = delete;

  // Solves all users for the items as they are, then all items for those users.
  // What `users` held before does not matter. A row without events becomes
  // zero. INVALID_ARGUMENT when a system is not positive definite in float32,
  // which a larger l2 repairs; the tables are then half done.
  // REQUIRES: both are row-major and finite, `users` [U, d], `items` [I, d].
  absl::Status Epoch(absl::Span<float> users, absl::Span<float> items);

  // What is minimized, as it stands above. Epochs lower it, but for rounding.
  double Loss(absl::Span<const float> users, absl::Span<const float> items);

 private:
  // The events as they are seen from one side: users or items. A row's events
  // are `others`, `weights` and `targets` [offsets[row], offsets[row + 1]).
  struct Side {
    uint64_t num_rows() const { return offsets.size() - 1; }

    absl::string_view row_name;
    uint64_t num_others = 0;
    absl::Span<const uint64_t> offsets;
    absl::Span<const uint32_t> others;
    absl::Span<const float> weights;  // or empty
    absl::Span<const float> targets;  // or empty
  };
  class RowSolver;

  // What a side shows if the data is not kept by users.
  struct Transposed {
    std::vector<uint64_t> offsets;
    std::vector<uint32_t> others;
    std::vector<float> weights;
    std::vector<float> targets;
  };
  static Transposed Transpose(const Side& by_user);

  absl::Status Solve(const Side& side, absl::Span<const float> fixed,
                     absl::Span<float> solved);
  // The sum of the outer products of a table's rows: the lower triangle of
  // [d, d], column-major; the upper one is 0.
  std::vector<double> Gram(absl::Span<const float> table);
  // l2 times what the rows' penalties are scaled by.
  double Penalty(const Side& side, absl::Span<const float> table) const;
  // The first term of the loss.
  double EventLoss(absl::Span<const float> users,
                   absl::Span<const float> items);

  const IalsOptions options_;
  ThreadPool* const pool_;
  const Side by_user_;
  const Transposed transposed_;
  const Side by_item_;
};

// Normal with the standard deviation .1 / sqrt(factors), the start that iALS
// wants: scores far below 1. Epoch() needs it of the items alone.
// REQUIRES: `table` is [rows, factors].
void InitializeForIals(uint32_t factors, Random& random,
                       absl::Span<float> table);

}  // namespace neumf
