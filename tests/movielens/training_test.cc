#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/clock.h"
#include "checkpoint/checkpoint_reader.h"
#include "tests/support/movielens.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "trainer/train_command.h"

namespace neumf {
namespace {

// The numbers of "Dive into Deep Learning" on its own data. Five seeds average
// .35 and .881; a single seed may fall a little below.
TEST(MovieLensTrainingTest, D2lRecipeReachesItsNumbers) {
  const TempDirectory directory;
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock = MakeRealClock();
  CommandEnvironment environment;
  environment.files = files.get();
  environment.clock = clock.get();
  TrainOptions options;
  options.task.data.path = MovieLens100kDirectory();
  options.task.data.format = "ml-100k";
  options.recipe = *FindRecipe("d2l-neumf");
  options.out = directory.path();
  options.evaluate_every = 10;

  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string path,
                             Train(options, environment));
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint checkpoint,
                             LoadCheckpoint(*files, path));
  const nlohmann::json& metrics = checkpoint.info.manifest.metrics;
  EXPECT_EQ(metrics["parameters"], 52950);
  EXPECT_EQ(metrics["evaluated_users"], 943);
  EXPECT_GE(metrics["hit@50"], 0.33);
  EXPECT_GE(metrics["auc"], 0.875);
  // A model that has learned nothing ranks at random.
  EXPECT_EQ(metrics["curve"][0]["epoch"], 0);
  EXPECT_NEAR(metrics["curve"][0]["auc"].get<double>(), 0.5, 0.05);
}

}  // namespace
}  // namespace neumf
