#include "trainer/ials.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"

// What is called of LAPACK, as Fortran has it; Debian's liblapack-dev brings no
// header. The last argument is the length of the text.
extern "C" {
void spotrf_(const char* uplo, const int* n, float* a, const int* lda,
             int* info, size_t uplo_size);
void spotrs_(const char* uplo, const int* n, const int* nrhs, const float* a,
             const int* lda, float* b, const int* ldb, int* info,
             size_t uplo_size);
}

namespace neumf {
namespace {

// Rows that go to BLAS at once. At 192 factors they fill 200 KB, so they are in
// the second-level cache when the product reads them.
constexpr size_t kPanelRows = 256;

// A table's Gram matrix is summed by stripes: few enough to keep a sum of each,
// enough for any number of threads.
constexpr size_t kMaxStripes = 64;
constexpr size_t kMinStripeRows = 512;

// gram += panel^T panel, where `panel` is [rows, d] row-major; the lower
// triangle in column-major order.
void AddOuterProducts(const float* panel, size_t rows, uint32_t d,
                      float* gram) {
  const int width = static_cast<int>(d);
  // Read by columns the panel is a [d, rows] matrix.
  cblas_ssyrk(CblasColMajor, CblasLower, CblasNoTrans, width,
              static_cast<int>(rows), 1.0F, panel, width, 1.0F, gram, width);
}

// Solves matrix x = rhs in place, leaving x in `rhs`; `matrix` becomes its
// factor. False if the matrix is not positive definite as far as float32 can
// tell: a pivot that is within the rounding error of its sum could as well be
// 0, and what is divided by it is noise.
bool SolvePositiveDefinite(uint32_t d, std::vector<float>& matrix,
                           std::vector<float>& diagonal,
                           std::vector<float>& rhs) {
  for (size_t k = 0; k < d; ++k) diagonal[k] = matrix[k * d + k];
  const int width = static_cast<int>(d);
  const int one = 1;
  int info = 0;
  spotrf_("L", &width, matrix.data(), &width, &info, 1);
  if (info != 0) return false;
  const float rounding =
      static_cast<float>(d) * std::numeric_limits<float>::epsilon();
  for (size_t k = 0; k < d; ++k) {
    const float root = matrix[k * d + k];
    // Written so that a NaN fails.
    if (!(root * root > rounding * diagonal[k])) return false;
  }
  spotrs_("L", &width, &one, matrix.data(), &width, rhs.data(), &width, &info,
          1);
  return std::all_of(rhs.begin(), rhs.end(),
                     [](float value) { return std::isfinite(value); });
}

double Dot(const float* a, const float* b, size_t size) {
  double sum = 0;
  for (size_t k = 0; k < size; ++k) sum += double{a[k]} * double{b[k]};
  return sum;
}

double WeightSum(absl::Span<const float> weights, uint64_t begin,
                 uint64_t end) {
  if (weights.empty()) return static_cast<double>(end - begin);
  double sum = 0;
  for (uint64_t at = begin; at < end; ++at) sum += double{weights[at]};
  return sum;
}

}  // namespace

// Solves rows of one side, one after the other, in buffers of its own.
class Ials::RowSolver {
 public:
  // `prior` is a0 times the Gram matrix of `fixed`; both must outlive this.
  RowSolver(const Side& side, const IalsOptions& options,
            absl::Span<const float> fixed, const std::vector<float>& prior)
      : side_(side),
        options_(options),
        d_(options.factors),
        fixed_(fixed.data()),
        prior_(prior),
        panel_(kPanelRows * d_),
        matrix_(size_t{d_} * d_),
        diagonal_(d_),
        rhs_(d_) {}

  // False if the row's system is not positive definite.
  bool Solve(uint64_t row, float* solution) {
    const uint64_t begin = side_.offsets[row];
    const uint64_t end = side_.offsets[row + 1];
    const double weight_sum = WeightSum(side_.weights, begin, end);
    std::fill(rhs_.begin(), rhs_.end(), 0.0F);
    if (weight_sum > 0) {
      matrix_ = prior_;
      for (uint64_t at = begin; at < end; at += kPanelRows) {
        const size_t count = std::min<uint64_t>(kPanelRows, end - at);
        Gather(at, count);
        AddOuterProducts(panel_.data(), count, d_, matrix_.data());
      }
      AddPenalty(weight_sum);
      if (!SolvePositiveDefinite(d_, matrix_, diagonal_, rhs_)) return false;
    }
    std::copy(rhs_.begin(), rhs_.end(), solution);
    return true;
  }

 private:
  // Fills the panel with the vectors of `count` events from `at` on, times the
  // roots of their weights, and adds w t q of each to the right side.
  void Gather(uint64_t at, size_t count) {
    float* const rhs = rhs_.data();
    for (size_t n = 0; n < count; ++n) {
      const float* const vector = fixed_ + size_t{side_.others[at + n]} * d_;
      const float weight = side_.weights.empty() ? 1.0F : side_.weights[at + n];
      const float target = side_.targets.empty() ? 1.0F : side_.targets[at + n];
      const float root = std::sqrt(weight);
      const float pull = weight * target;
      float* const gathered = panel_.data() + n * d_;
      for (size_t k = 0; k < d_; ++k) {
        gathered[k] = root * vector[k];
        rhs[k] += pull * vector[k];
      }
    }
  }

  void AddPenalty(double weight_sum) {
    const auto num_others = static_cast<double>(side_.num_others);
    const auto penalty = static_cast<float>(
        options_.l2 * (weight_sum + options_.unobserved_weight * num_others));
    for (size_t k = 0; k < d_; ++k) matrix_[k * d_ + k] += penalty;
  }

  const Side& side_;
  const IalsOptions& options_;
  const uint32_t d_;
  const float* const fixed_;
  const std::vector<float>& prior_;
  std::vector<float> panel_;     // [kPanelRows, d]
  std::vector<float> matrix_;    // [d, d] column-major, lower triangle
  std::vector<float> diagonal_;  // [d]
  std::vector<float> rhs_;       // [d]
};

Ials::Ials(const Interactions& train, const IalsOptions& options,
           ThreadPool* pool, const IalsEvents& events)
    : options_(options),
      pool_(pool),
      by_user_{"user",        train.num_items(), train.offsets(),
               train.items(), events.weights,    events.targets},
      transposed_(Transpose(by_user_)),
      by_item_{"item",
               train.num_users(),
               transposed_.offsets,
               transposed_.others,
               transposed_.weights,
               transposed_.targets} {
  NEUMF_CHECK(options.factors >= 1);
  NEUMF_CHECK(options.l2 >= 0);
  NEUMF_CHECK(options.unobserved_weight >= 0);
  for (const absl::Span<const float> values :
       {events.weights, events.targets}) {
    NEUMF_CHECK(values.empty() || values.size() == train.num_interactions());
  }
  for (const float weight : events.weights) NEUMF_CHECK(weight >= 0);
}

Ials::Transposed Ials::Transpose(const Side& by_user) {
  const size_t num_events = by_user.others.size();
  Transposed result;
  result.offsets.resize(by_user.num_others + 1);
  result.others.resize(num_events);
  result.weights.resize(by_user.weights.size());
  result.targets.resize(by_user.targets.size());
  for (const uint32_t item : by_user.others) ++result.offsets[item + 1];
  for (uint64_t i = 0; i < by_user.num_others; ++i) {
    result.offsets[i + 1] += result.offsets[i];
  }
  std::vector<uint64_t> next(result.offsets.begin(), result.offsets.end() - 1);
  for (uint64_t user = 0; user < by_user.num_rows(); ++user) {
    for (uint64_t at = by_user.offsets[user]; at < by_user.offsets[user + 1];
         ++at) {
      const uint64_t to = next[by_user.others[at]]++;
      result.others[to] = static_cast<uint32_t>(user);
      if (!by_user.weights.empty()) result.weights[to] = by_user.weights[at];
      if (!by_user.targets.empty()) result.targets[to] = by_user.targets[at];
    }
  }
  return result;
}

absl::Status Ials::Epoch(absl::Span<float> users, absl::Span<float> items) {
  NEUMF_CHECK(users.size() == by_user_.num_rows() * options_.factors);
  NEUMF_CHECK(items.size() == by_item_.num_rows() * options_.factors);
  NEUMF_RETURN_IF_ERROR(Solve(by_user_, items, users));
  return Solve(by_item_, users, items);
}

absl::Status Ials::Solve(const Side& side, absl::Span<const float> fixed,
                         absl::Span<float> solved) {
  const std::vector<double> gram = Gram(fixed);
  std::vector<float> prior(gram.size());
  std::transform(gram.begin(), gram.end(), prior.begin(), [&](double value) {
    return static_cast<float>(options_.unobserved_weight * value);
  });

  const uint64_t num_rows = side.num_rows();
  const size_t num_threads = pool_->num_threads();
  std::vector<RowSolver> solvers(num_threads,
                                 RowSolver(side, options_, fixed, prior));
  std::vector<uint64_t> first_failed(num_threads, num_rows);  // by thread
  pool_->ParallelFor(num_rows, [&](size_t row, size_t thread) {
    float* const solution = solved.data() + row * options_.factors;
    if (!solvers[thread].Solve(row, solution)) {
      first_failed[thread] = std::min<uint64_t>(first_failed[thread], row);
    }
  });
  const uint64_t failed =
      *std::min_element(first_failed.begin(), first_failed.end());
  if (failed == num_rows) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the equations of ", side.row_name, " row ", failed,
      " are not positive definite in float32: raise l2, which is ", options_.l2,
      ", or lower the number of factors, which is ", options_.factors));
}

std::vector<double> Ials::Gram(absl::Span<const float> table) {
  const uint32_t d = options_.factors;
  const size_t rows = table.size() / d;
  const size_t stripe_rows =
      std::max(kMinStripeRows, (rows + kMaxStripes - 1) / kMaxStripes);
  const size_t num_stripes = (rows + stripe_rows - 1) / stripe_rows;
  std::vector<std::vector<float>> partial(num_stripes);
  pool_->ParallelFor(num_stripes, [&](size_t stripe, size_t /*thread*/) {
    partial[stripe].resize(size_t{d} * d);
    const size_t end = std::min(rows, (stripe + 1) * stripe_rows);
    for (size_t row = stripe * stripe_rows; row < end; row += kPanelRows) {
      AddOuterProducts(table.data() + row * d, std::min(kPanelRows, end - row),
                       d, partial[stripe].data());
    }
  });
  std::vector<double> gram(size_t{d} * d);
  for (const std::vector<float>& part : partial) {
    for (size_t k = 0; k < gram.size(); ++k) gram[k] += double{part[k]};
  }
  return gram;
}

double Ials::Loss(absl::Span<const float> users,
                  absl::Span<const float> items) {
  NEUMF_CHECK(users.size() == by_user_.num_rows() * options_.factors);
  NEUMF_CHECK(items.size() == by_item_.num_rows() * options_.factors);
  // The sum of the squares of all scores is that of the products of the two
  // Gram matrices' elements. What is off the diagonal counts twice.
  const std::vector<double> user_gram = Gram(users);
  const std::vector<double> item_gram = Gram(items);
  double all_pairs = 0;
  for (size_t column = 0; column < options_.factors; ++column) {
    const size_t diagonal = column * options_.factors + column;
    all_pairs += user_gram[diagonal] * item_gram[diagonal];
    for (size_t at = diagonal + 1; at < (column + 1) * options_.factors; ++at) {
      all_pairs += 2 * user_gram[at] * item_gram[at];
    }
  }
  return EventLoss(users, items) + options_.unobserved_weight * all_pairs +
         Penalty(by_user_, users) + Penalty(by_item_, items);
}

double Ials::EventLoss(absl::Span<const float> users,
                       absl::Span<const float> items) {
  const size_t d = options_.factors;
  std::vector<double> losses(by_user_.num_rows());
  pool_->ParallelFor(losses.size(), [&](size_t user, size_t /*thread*/) {
    for (uint64_t at = by_user_.offsets[user]; at < by_user_.offsets[user + 1];
         ++at) {
      const double score = Dot(users.data() + user * d,
                               items.data() + by_user_.others[at] * d, d);
      const double weight =
          by_user_.weights.empty() ? 1.0 : double{by_user_.weights[at]};
      const double target =
          by_user_.targets.empty() ? 1.0 : double{by_user_.targets[at]};
      losses[user] += weight * (score - target) * (score - target);
    }
  });
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum;
}

double Ials::Penalty(const Side& side, absl::Span<const float> table) const {
  const size_t d = options_.factors;
  const double everywhere =
      options_.unobserved_weight * static_cast<double>(side.num_others);
  double sum = 0;
  for (uint64_t row = 0; row < side.num_rows(); ++row) {
    const float* const vector = table.data() + row * d;
    const double weight_sum =
        WeightSum(side.weights, side.offsets[row], side.offsets[row + 1]);
    sum += (weight_sum + everywhere) * Dot(vector, vector, d);
  }
  return options_.l2 * sum;
}

void InitializeForIals(uint32_t factors, Random& random,
                       absl::Span<float> table) {
  const double scale = 0.1 / std::sqrt(static_cast<double>(factors));
  for (float& value : table) {
    value = static_cast<float>(scale * random.Normal());
  }
}

}  // namespace neumf
