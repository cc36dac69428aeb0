// What recipes that take seconds reach on the real data, so that quality that is
// lost is missed by a test, not by the next reader of docs/quality.md.

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

class MovieLensTrainingTest : public testing::Test {
 protected:
  MovieLensTrainingTest() {
    options_.task.data.path = MovieLens100kDirectory();
    options_.out = directory_.path();
  }

  // The metrics of the published checkpoint; empty, and a failure, without one.
  nlohmann::json Train() {
    CommandEnvironment environment;
    environment.files = files_.get();
    environment.clock = clock_.get();
    const absl::StatusOr<std::string> path =
        neumf::Train(options_, environment);
    EXPECT_THAT(path, IsOk());
    if (!path.ok()) return {};
    const absl::StatusOr<LoadedCheckpoint> checkpoint =
        LoadCheckpoint(*files_, *path);
    EXPECT_THAT(checkpoint, IsOk());
    if (!checkpoint.ok()) return {};
    return checkpoint->info.manifest.metrics;
  }

  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  const TempDirectory directory_;
  TrainOptions options_;
};

// The numbers of "Dive into Deep Learning" on its own data. Five seeds average
// .35 and .881; a single seed may fall a little below.
TEST_F(MovieLensTrainingTest, D2lRecipeReachesItsNumbers) {
  options_.task.data.format = "ml-100k";
  options_.recipe = *FindRecipe("d2l-neumf");
  options_.evaluate_every = 10;
  constexpr uint64_t kSeeds = 3;
  double hits = 0;
  double auc = 0;
  for (options_.seed = 1; options_.seed <= kSeeds; ++options_.seed) {
    const nlohmann::json metrics = Train();
    ASSERT_FALSE(metrics.empty());
    EXPECT_EQ(metrics["parameters"], 52950);
    EXPECT_EQ(metrics["evaluated_users"], 943);
    // A model that has learned nothing ranks at random.
    EXPECT_EQ(metrics["curve"][0]["epoch"], 0);
    EXPECT_NEAR(metrics["curve"][0]["auc"].get<double>(), 0.5, 0.05);
    hits += metrics["hit@50"].get<double>() / kSeeds;
    auc += metrics["auc"].get<double>() / kSeeds;
  }
  EXPECT_GE(hits, 0.335);
  EXPECT_GE(auc, 0.878);
}

// The notebook has .9262.
TEST_F(MovieLensTrainingTest, BilinearTripletComesNearItsNotebook) {
  const std::string ua = JoinPath(MovieLens100kDirectory(), "ua.base");
  if (!files_->Stat(ua).ok()) GTEST_SKIP() << "no " << ua;
  options_.task.data.format = "ml-100k-ua";
  options_.recipe = *FindRecipe("triplet-bilinear");
  const nlohmann::json metrics = Train();
  ASSERT_FALSE(metrics.empty());
  EXPECT_EQ(metrics["protocol"], "triplet");
  EXPECT_GE(metrics["auc"], 0.91);
}

}  // namespace
}  // namespace neumf
