#include "trainer/step/schedule.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace neumf {
namespace {

constexpr double kPi = 3.14159265358979323846;

// A number above 0.
bool ParsePositive(absl::string_view text, double* number) {
  return absl::SimpleAtod(text, number) && std::isfinite(*number) &&
         *number > 0;
}

bool ParseMain(absl::string_view text, Schedule* schedule) {
  if (text == "constant") return true;
  if (text == "cosine") {
    schedule->kind = Schedule::Kind::kCosine;
    return true;
  }
  const std::vector<absl::string_view> fields = absl::StrSplit(text, ':');
  schedule->kind = Schedule::Kind::kStep;
  return fields.size() == 3 && fields[0] == "step" &&
         ParsePositive(fields[1], &schedule->step_epochs) &&
         ParsePositive(fields[2], &schedule->gamma);
}

bool ParseWarmup(absl::string_view text, Schedule* schedule) {
  const std::vector<absl::string_view> fields = absl::StrSplit(text, ':');
  return fields.size() == 2 && fields[0] == "warmup" &&
         ParsePositive(fields[1], &schedule->warmup_epochs);
}

}  // namespace

double Schedule::Scale(double epochs_done, double num_epochs) const {
  double scale = 1;
  if (kind == Kind::kStep) {
    scale = std::pow(gamma, std::floor(epochs_done / step_epochs));
  } else if (kind == Kind::kCosine) {
    const double length = num_epochs - warmup_epochs;
    const double done = std::max(0.0, epochs_done - warmup_epochs);
    const double share = length > 0 ? std::min(1.0, done / length) : 0;
    scale = (1 + std::cos(kPi * share)) / 2;
  }
  if (epochs_done < warmup_epochs) scale *= epochs_done / warmup_epochs;
  return scale;
}

absl::StatusOr<Schedule> ParseSchedule(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ',');
  Schedule schedule;
  if (ParseMain(parts[0], &schedule) &&
      (parts.size() == 1 ||
       (parts.size() == 2 && ParseWarmup(parts[1], &schedule)))) {
    return schedule;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "there is no schedule '", text,
      "'; there are constant, cosine and step:N:GAMMA (times GAMMA every N "
      "epochs), each with ,warmup:W behind it or without, numbers above 0"));
}

std::string ScheduleText(const Schedule& schedule) {
  std::string text = "constant";
  if (schedule.kind == Schedule::Kind::kCosine) text = "cosine";
  if (schedule.kind == Schedule::Kind::kStep) {
    text = absl::StrCat("step:", schedule.step_epochs, ":", schedule.gamma);
  }
  if (schedule.warmup_epochs > 0) {
    absl::StrAppend(&text, ",warmup:", schedule.warmup_epochs);
  }
  return text;
}

}  // namespace neumf
