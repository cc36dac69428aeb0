// Every size that a model can have: items, widths, depths.

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

// Vectors, blocks of 16 and tiles of them, each one item short and one more.
constexpr uint64_t kNumItems[] = {
    1,   2,   3,   4,    5,    7,    8,    9,    15,   16,   17,   31,  32,
    33,  47,  48,  49,   63,   64,   65,   127,  128,  129,  255,  256, 257,
    511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097};

// All small ones, as groups of outputs of many widths are made of them.
Widths AllWidths() {
  Widths widths = {63, 64, 65, 100, 127, 128, 129, 255, 256};
  for (uint32_t width = 1; width <= 34; ++width) widths.push_back(width);
  return widths;
}

// From one layer to six.
const Widths kTowers[] = {{},
                          {1},
                          {7},
                          {8},
                          {16, 1},
                          {64, 3},
                          {9, 5, 3},
                          {64, 32, 16},
                          {64, 32, 16, 8},
                          {8, 7, 6, 5},
                          {1, 1, 1, 1, 1},
                          {3, 4, 5, 6, 7},
                          {16, 13, 11, 7, 5, 2},
                          {256, 255, 129, 64, 33, 5}};

class ScorerShapeTest : public ScorerTest {
 protected:
  void UseShape(const Widths& tower, uint32_t gmf_width, bool item_bias,
                Activation activation = Activation::kRelu) {
    shape_name_ =
        absl::StrCat("tower [", absl::StrJoin(tower, ","), "] G ", gmf_width,
                     item_bias ? " with" : " without", " bias");
    TinyModelOptions options = Sized(49, gmf_width, tower);
    options.num_users = 2;
    options.item_bias = item_bias;
    options.activation = activation;
    Use(options);
  }

  void ExpectReferenceBits() const {
    SCOPED_TRACE(shape_name_);
    ExpectSameAsReference(QueriesOfAll(20));
  }

  std::string shape_name_;
};

INSTANTIATE_TEST_SUITE_P(Backends, ScorerShapeTest,
                         testing::ValuesIn(AllBackends()), BackendCaseName);

TEST_P(ScorerShapeTest, GivesTheReferenceBitsAtEveryCatalogSize) {
  for (uint64_t num_items : kNumItems) {
    SCOPED_TRACE(absl::StrCat(num_items, " items"));
    Use(Sized(num_items, 7, {8, 5}));
    for (uint32_t k : {0U, 1U, 10U, static_cast<uint32_t>(num_items), 5000U}) {
      ExpectSameAsReference(QueriesOfAll(k));
    }
  }
}

// With G = 8 and nothing else a block takes 512 bytes, so that 8,192 items fill
// the 256 KiB that are scanned at a time.
TEST_P(ScorerShapeTest, GivesTheReferenceBitsAroundTheSizeOfAPiece) {
  for (uint64_t num_items : {8191, 8192, 8193, 16383, 16385}) {
    SCOPED_TRACE(absl::StrCat(num_items, " items"));
    TinyModelOptions options = Sized(num_items, 8, {});
    options.item_bias = false;
    Use(options);
    for (uint32_t k : {1U, 100U, 20000U}) {
      ExpectSameAsReference(QueriesOfAll(k));
    }
  }
}

TEST_P(ScorerShapeTest, GivesTheReferenceBitsAtEveryDepth) {
  for (const Widths& tower : kTowers) {
    for (uint32_t gmf_width : {0, 1, 7, 8, 16, 64}) {
      if (tower.empty() && gmf_width == 0) continue;
      for (bool item_bias : {false, true}) {
        UseShape(tower, gmf_width, item_bias);
        ExpectReferenceBits();
      }
    }
  }
}

TEST_P(ScorerShapeTest, GivesTheReferenceBitsAtEveryWidth) {
  for (uint32_t width : AllWidths()) {
    UseShape({}, width, true);
    ExpectReferenceBits();
    UseShape({width, 3}, 0, true);
    ExpectReferenceBits();
    UseShape({5, width, 6}, 2, false);
    ExpectReferenceBits();
  }
}

TEST_P(ScorerShapeTest, GivesTheReferenceBitsWithTanhAndSigmoid) {
  for (Activation activation : {Activation::kTanh, Activation::kSigmoid}) {
    if (!Takes(activation)) continue;
    for (const Widths& tower : kTowers) {
      if (tower.empty()) continue;
      UseShape(tower, 3, true, activation);
      ExpectReferenceBits();
    }
  }
}

TEST_P(ScorerShapeTest, AgreesWithFloat64UpToRounding) {
  for (Activation activation :
       {Activation::kRelu, Activation::kTanh, Activation::kSigmoid}) {
    if (!Takes(activation)) continue;
    for (const Widths& tower : kTowers) {
      for (uint32_t gmf_width : {0, 8}) {
        if (tower.empty() && gmf_width == 0) continue;
        UseShape(tower, gmf_width, true, activation);
        SCOPED_TRACE(shape_name_);
        ExpectNearFloat64(0);
      }
    }
  }
}

}  // namespace
}  // namespace neumf
