#include "eval/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/split_mix64.h"

namespace neumf {
namespace {

// SplitMix64, our own so that a seed means the same with any library.
class Draws {
 public:
  explicit Draws(uint64_t seed) : state_(seed) {}

  // Uniform below `bound`; the bias of bounds far below 2^32 is negligible.
  size_t Below(uint64_t bound) { return (Next() >> 32) * bound >> 32; }

 private:
  uint64_t Next() { return SplitMix64(state_ += kSplitMix64Step); }

  uint64_t state_;
};

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// The mean of as many draws as there are values.
double ResampledMean(const std::vector<double>& values, Draws& draws) {
  const double* const data = values.data();
  const size_t size = values.size();
  double sum = 0;
  for (size_t i = 0; i < size; ++i) sum += data[draws.Below(size)];
  return sum / static_cast<double>(size);
}

// The value that a share of `sorted` is below, between neighbours by their
// distance.
double Quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = place - static_cast<double>(below);
  return sorted[below] + weight * (sorted[above] - sorted[below]);
}

double TwoSidedP(const std::vector<double>& sorted) {
  const auto not_above =
      std::upper_bound(sorted.begin(), sorted.end(), 0.0) - sorted.begin();
  const auto not_below =
      sorted.end() - std::lower_bound(sorted.begin(), sorted.end(), 0.0);
  const auto fewer = static_cast<double>(std::min(not_above, not_below));
  const auto count = static_cast<double>(sorted.size());
  return std::min(1.0, 2 * (fewer + 1) / (count + 1));
}

absl::Status Check(absl::Span<const double> a, absl::Span<const double> b,
                   const BootstrapOptions& options) {
  if (a.size() != b.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("users cannot be paired: there are ", a.size(), " and ",
                     b.size(), " values"));
  }
  if (a.empty() || a.size() > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot resample ", a.size(), " users"));
  }
  if (options.num_resamples == 0) {
    return absl::InvalidArgumentError("a bootstrap needs resamples");
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isfinite(a[i]) && std::isfinite(b[i])) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("a value of user ", i, " is not a finite number"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PairedDifference> PairedBootstrap(
    absl::Span<const double> a, absl::Span<const double> b,
    const BootstrapOptions& options) {
  if (absl::Status status = Check(a, b, options); !status.ok()) return status;
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];

  Draws draws(options.seed);
  std::vector<double> means(options.num_resamples);
  for (double& mean : means) mean = ResampledMean(differences, draws);
  std::sort(means.begin(), means.end());

  PairedDifference result;
  result.num_users = a.size();
  result.mean = Mean(differences);
  result.low = Quantile(means, 0.025);
  result.high = Quantile(means, 0.975);
  result.p_value = TwoSidedP(means);
  return result;
}

}  // namespace neumf
