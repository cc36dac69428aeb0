// Random models and random queries, the same ones for the same seed.

#include <cmath>
#include <random>

#include "absl/strings/str_cat.h"
#include "tests/scoring/random_queries.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

// Makes ties of most scores.
void RoundToQuarters(TinyModel* tiny) {
  AlignedMatrix* const tables[] = {&tiny->model.users.gmf,
                                   &tiny->model.users.tower, &tiny->items.gmf,
                                   &tiny->items.tower};
  for (AlignedMatrix* table : tables) {
    for (size_t i = 0; i < table->size(); ++i) {
      table->data()[i] = std::nearbyint(4 * table->data()[i]) / 4;
    }
  }
  for (float& bias : tiny->items.bias) bias = 0;
}

class ScorerPropertyTest : public ScorerTest {
 protected:
  uint64_t Below(uint64_t end) { return random_() % end; }
  uint32_t Width(uint64_t end) { return static_cast<uint32_t>(Below(end)); }

  TinyModel RandomModel() {
    const auto drawn = static_cast<Activation>(Below(3));
    const Activation activation = Takes(drawn) ? drawn : Activation::kRelu;
    // Small catalogs more often than large ones.
    const uint64_t num_items = 1 + Below(uint64_t{1} << (1 + Below(11)));
    Widths tower;
    for (uint64_t l = Below(7); l > 0; --l) tower.push_back(1 + Width(40));
    const uint32_t gmf_width = Width(20) + (tower.empty() ? 1 : 0);
    TinyModelOptions options = Sized(num_items, gmf_width, tower);
    options.activation = activation;
    options.item_bias = Below(2) == 0;
    options.seed = random_();
    TinyModel tiny = MakeTinyModel(options);
    if (Below(3) == 0) RoundToQuarters(&tiny);
    return tiny;
  }
  // From what makes denormal scores to what makes large ones; mostly 1.
  float RandomFactor() {
    const int exponent = static_cast<int>(Below(200)) - 140;
    return Below(3) == 0 ? std::ldexp(1.0F, exponent) : 1;
  }

  std::mt19937_64 random_;
};

INSTANTIATE_TEST_SUITE_P(Backends, ScorerPropertyTest,
                         testing::ValuesIn(AllBackends()), BackendCaseName);

TEST_P(ScorerPropertyTest, GivesTheReferenceBitsOnRandomQueries) {
  for (uint64_t seed = 1; seed <= Rounds(100); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    random_.seed(seed);
    Use(Scaled(RandomModel(), RandomFactor()));
    const RandomQueries random(tiny_, 1 + Below(9), seed);
    ExpectSameAsReference(random.queries());
  }
}

TEST_P(ScorerPropertyTest, AgreesWithFloat64OnRandomModels) {
  for (uint64_t seed = 1; seed <= Rounds(40); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    random_.seed(seed);
    Use(RandomModel());
    ExpectNearFloat64(0);
  }
}

}  // namespace
}  // namespace neumf
