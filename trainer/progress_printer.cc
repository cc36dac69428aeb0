#include "trainer/progress_printer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace neumf {
namespace {

constexpr absl::Duration kShortestPause = absl::Milliseconds(100);

}  // namespace

std::string ProgressLine(const TrainingProgress& progress) {
  const auto epoch_examples = static_cast<double>(progress.epoch_examples);
  const double done = (progress.epoch - 1) * epoch_examples +
                      static_cast<double>(progress.examples_done);
  const double seconds =
      std::max(absl::ToDoubleSeconds(progress.elapsed), 1e-9);
  const double rate = done / seconds;
  const double left = (progress.num_epochs * epoch_examples - done) / rate;
  return absl::StrFormat(
      "epoch %u/%u  %3.0f%%  %.0f examples/s  loss %.4f  %.0f s left",
      progress.epoch, progress.num_epochs,
      100 * static_cast<double>(progress.examples_done) / epoch_examples, rate,
      progress.mean_loss, std::ceil(left));
}

void ProgressPrinter::Show(const TrainingProgress& progress) {
  if (!is_terminal_) {
    if (progress.epoch_done()) {
      absl::FPrintF(out_, "%s\n", ProgressLine(progress));
    }
    return;
  }
  const bool last =
      progress.epoch_done() && progress.epoch == progress.num_epochs;
  if (!last && progress.elapsed - last_shown_ < kShortestPause) return;
  last_shown_ = progress.elapsed;
  // Back to the first column, then clear to the end of the line.
  absl::FPrintF(out_, "\r%s\x1b[K%s", ProgressLine(progress), last ? "\n" : "");
  std::fflush(out_);
}

}  // namespace neumf
