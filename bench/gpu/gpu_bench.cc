// Measures the CUDA scorer on a GPU and prints one JSON object a figure.
// bench/README.md says what each means; bench/gpu/run calls this.

#include <iostream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "bench/figures.h"
#include "bench/gpu/answers.h"
#include "bench/gpu/speed.h"
#include "scoring/cuda/cuda_scorer.h"

ABSL_FLAG(std::string, measure, "answers",
          "answers: whether the GPU answers as the CPU does; speed.");
ABSL_FLAG(std::string, towers, "build/bench/towers",
          "Directory with the trained towers A, B and C, a directory of "
          "checkpoints each. What is missing is measured with random weights.");
ABSL_FLAG(std::string, export_to, "",
          "With speed: a directory to write the models of 1m items to, with "
          "their answers, for other programs to compare with.");
ABSL_FLAG(std::string, only, "", "Measures figures whose name holds this.");
ABSL_FLAG(bool, quick, false, "Fewer cases.");

namespace neumf {
namespace {

int Main() {
  const auto device = FindCudaDevice(0);
  if (!device.ok()) {
    std::cerr << device.status().message() << std::endl;
    return 77;
  }
  const FigureWriter figures(absl::GetFlag(FLAGS_only));
  absl::Status status;
  if (absl::GetFlag(FLAGS_measure) == "answers") {
    AnswerOptions options;
    options.towers = absl::GetFlag(FLAGS_towers);
    options.quick = absl::GetFlag(FLAGS_quick);
    status = CompareAnswers(options, figures);
  } else if (absl::GetFlag(FLAGS_measure) == "speed") {
    SpeedOptions options;
    options.towers = absl::GetFlag(FLAGS_towers);
    options.export_to = absl::GetFlag(FLAGS_export_to);
    options.quick = absl::GetFlag(FLAGS_quick);
    status = MeasureSpeed(options, figures);
  } else {
    status = absl::InvalidArgumentError("--measure: answers or speed");
  }
  if (status.ok()) return 0;
  std::cerr << status.message() << std::endl;
  return 1;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("measures the CUDA scorer; see bench/README.md");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
