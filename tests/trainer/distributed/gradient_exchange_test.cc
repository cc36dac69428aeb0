#include "trainer/distributed/gradient_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/trainer/distributed/thread_collective.h"
#include "trainer/random.h"

namespace neumf {
namespace {

constexpr uint32_t kSizes[] = {2, 3, 5};

ModelSpec SpecOfSize(uint64_t num_users, uint64_t num_items) {
  ModelSpec spec;
  spec.num_users = num_users;
  spec.num_items = num_items;
  spec.factors = 3;
  spec.user_tower_factors = 2;
  spec.item_tower_factors = 2;
  spec.hidden = {4, 2};
  return spec;
}

// What a process has touched, of whole numbers, whose sums are exact.
void Fill(uint32_t rank, uint64_t step, Gradient* gradient) {
  Random random(100 * step + rank);
  for (size_t t = 0; t < gradient->num_tables(); ++t) {
    const ParameterBlock& table = gradient->table(t);
    const uint32_t num_touched =
        random.Below(static_cast<uint32_t>(table.rows) + 1);
    for (uint32_t n = 0; n < num_touched; ++n) {
      float* const row =
          gradient->Touch(t, random.Below(static_cast<uint32_t>(table.rows)));
      for (uint64_t c = 0; c < table.cols; ++c) {
        row[c] += static_cast<float>(random.Below(9)) - 4;
      }
    }
  }
  for (size_t i = gradient->dense_begin(); i < gradient->values().size(); ++i) {
    gradient->values()[i] = static_cast<float>(random.Below(9)) - 4;
  }
}

std::set<uint32_t> TouchedOf(const Gradient& gradient, size_t table) {
  const absl::Span<const uint32_t> rows = gradient.touched(table);
  std::set<uint32_t> touched(rows.begin(), rows.end());
  EXPECT_EQ(touched.size(), rows.size());
  return touched;
}

// Row counts around those of whole bytes, and more steps than one.
TEST(GradientExchangeTest, EveryProcessGetsTheWeightedSumAndTheUnion) {
  for (const uint32_t size : kSizes) {
    for (const uint64_t num_users : {1, 7, 8, 9, 64, 65}) {
      const ParameterLayout layout(SpecOfSize(num_users, 17));
      RunTogether(size, [&](Collective& collective) {
        GradientExchange exchange(&collective);
        Gradient gradient(layout);
        for (uint64_t step = 0; step < 3; ++step) {
          gradient.Clear();
          Fill(collective.rank(), step, &gradient);
          NEUMF_ASSERT_OK_AND_ASSIGN(
              const double loss,
              exchange.Exchange(0.5, collective.rank() + 1.0, &gradient));
          EXPECT_EQ(loss, 0.25 * size * (size + 1));

          std::vector<float> sum(layout.size);
          std::vector<std::set<uint32_t>> touched(gradient.num_tables());
          for (uint32_t rank = 0; rank < size; ++rank) {
            Gradient part(layout);
            Fill(rank, step, &part);
            for (size_t i = 0; i < sum.size(); ++i) {
              sum[i] += 0.5F * part.values()[i];
            }
            for (size_t t = 0; t < touched.size(); ++t) {
              touched[t].merge(TouchedOf(part, t));
            }
          }
          EXPECT_EQ(gradient.values(), absl::MakeConstSpan(sum));
          for (size_t t = 0; t < touched.size(); ++t) {
            EXPECT_EQ(TouchedOf(gradient, t), touched[t]);
          }
        }
      });
    }
  }
}

TEST(GradientExchangeTest, OnlyTouchedRowsTravel) {
  const ParameterLayout layout(SpecOfSize(80'000, 40'000));
  RunTogether(2, [&](Collective& collective) {
    GradientExchange exchange(&collective);
    Gradient gradient(layout);
    gradient.Touch(0, 5 + collective.rank());
    NEUMF_ASSERT_OK(exchange.Exchange(1, 0, &gradient).status());
    const size_t dense = layout.size - gradient.dense_begin();
    const size_t bits = 2 * (80'000 + 40'000) / 8;
    EXPECT_EQ(exchange.num_bytes(), bits + sizeof(float) * (2 * 3 + dense + 1));
  });
}

}  // namespace
}  // namespace neumf
