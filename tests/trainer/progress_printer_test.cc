#include "trainer/progress_printer.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

namespace neumf {
namespace {

// A run of 2 epochs of 4 batches each, 25 examples and 10 ms a batch.
std::string Shown(bool is_terminal) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* const out = open_memstream(&text, &size);
  ProgressPrinter printer(out, is_terminal);
  TrainingProgress progress;
  progress.num_epochs = 2;
  progress.epoch_examples = 100;
  progress.mean_loss = 0.5;
  for (progress.epoch = 1; progress.epoch <= 2; ++progress.epoch) {
    for (progress.examples_done = 25; progress.examples_done <= 100;
         progress.examples_done += 25) {
      progress.elapsed += absl::Milliseconds(10);
      printer.Show(progress);
    }
  }
  std::fclose(out);
  std::string shown(text, size);
  std::free(text);
  return shown;
}

TEST(ProgressPrinterTest, IsOneLineAnEpochAwayFromATerminal) {
  EXPECT_EQ(Shown(/*is_terminal=*/false),
            "epoch 1/2  100%  2500 examples/s  loss 0.5000  1 s left\n"
            "epoch 2/2  100%  2500 examples/s  loss 0.5000  0 s left\n");
}

TEST(ProgressPrinterTest, RewritesOneLineOnATerminalAFewTimesASecond) {
  EXPECT_EQ(
      Shown(/*is_terminal=*/true),
      "\repoch 1/2   25%  2500 examples/s  loss 0.5000  1 s left\x1b[K"
      "\repoch 2/2  100%  2500 examples/s  loss 0.5000  0 s left\x1b[K\n");
}

}  // namespace
}  // namespace neumf
