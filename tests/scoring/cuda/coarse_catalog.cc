#include "tests/scoring/cuda/coarse_catalog.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "scoring/cuda/device/fragments.h"
#include "scoring/cuda/device/half.h"
#include "scoring/cuda/kernels/rank_keys.h"

namespace neumf::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float RoundToHalf(double value) {
  return FloatOfHalf(HalfBits(static_cast<float>(value)));
}

// The value of `values` [rows, width] at a place, 0 outside.
float At(const std::vector<float>& values, uint32_t width, uint32_t row,
         uint32_t column) {
  const size_t at = size_t{row} * width + column;
  return column < width && at < values.size() ? values[at] : 0;
}

}  // namespace

CoarseCatalog::CoarseCatalog(const CoarseCatalogOptions& options)
    : options_(options), random_(options.seed) {
  for (const uint32_t width : options.widths) {
    if (width > 0) widths_.push_back(width);
  }
  item_tower_ = Draw(size_t{options.num_items} * tower_width(), 1);
  item_gmf_ = Draw(size_t{options.num_items} * options.gmf_width, 1);
  user_tower_ = Draw(size_t{options.num_users} * tower_width(), 1);
  user_gmf_ = Draw(size_t{options.num_users} * options.gmf_width, 1);
  start_ =
      Draw((options.num_items + kTileItems - 1) / kTileItems * kTileItems, 1);
  for (size_t l = 1; l < widths_.size(); ++l) {
    const float scale = 2 / std::sqrt(static_cast<float>(widths_[l - 1]));
    weights_.push_back(Draw(size_t{widths_[l]} * widths_[l - 1], scale));
    biases_.push_back(Draw(widths_[l], 0.5F));
  }
  if (!widths_.empty()) head_ = Draw(widths_.back(), 1);
  PackItems();
  PackLayers();
  PackUsers();
  seen_.resize(options.num_users);
  threshold_.assign(options.max_users, kInfinity);
  std::fill_n(threshold_.begin(), options.num_users, -kInfinity);
}

CoarseCatalog::Matrix CoarseCatalog::Draw(size_t count, float scale) {
  std::normal_distribution<float> normal(0, scale);
  Matrix values(count);
  for (float& value : values) value = RoundToHalf(normal(random_));
  return values;
}

void CoarseCatalog::PackItems() {
  model_.num_items = options_.num_items;
  model_.num_tiles = (options_.num_items + kTileItems - 1) / kTileItems;
  model_.gmf_steps = options_.gmf_width / 8;
  model_.tower_width = tower_width();
  const auto word = [](const Matrix& table, uint32_t width, uint32_t tile,
                       uint32_t step_width, uint32_t step, uint32_t lane,
                       uint32_t w) {
    const Place low = PlaceInA(lane, w, 0);
    const uint32_t row = tile * kTileItems + low.row;
    const uint32_t column = step * step_width + low.column;
    return PackHalves(At(table, width, row, column),
                      At(table, width, row, column + 1));
  };
  for (uint32_t tile = 0; tile < model_.num_tiles; ++tile) {
    for (uint32_t s = 0; s < tower_width() / 16; ++s) {
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        Words4 words;
        for (uint32_t w = 0; w < 4; ++w) {
          words.w[w] = word(item_tower_, tower_width(), tile, 16, s, lane, w);
        }
        tower_fragments_.push_back(words);
      }
    }
    for (uint32_t s = 0; s < model_.gmf_steps; ++s) {
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        Words2 words;
        for (uint32_t w = 0; w < 2; ++w) {
          words.w[w] = word(item_gmf_, options_.gmf_width, tile, 8, s, lane, w);
        }
        gmf_fragments_.push_back(words);
      }
    }
  }
  model_.item_tower = tower_fragments_.data();
  model_.item_gmf = gmf_fragments_.data();
  model_.item_start = start_.data();
}

void CoarseCatalog::PackLayers() {
  model_.num_layers = static_cast<uint32_t>(weights_.size());
  weight_fragments_.resize(weights_.size());
  for (size_t l = 0; l < weights_.size(); ++l) {
    const uint32_t in = widths_[l];
    const uint32_t out = widths_[l + 1];
    for (uint32_t n = 0; n < out / 8; ++n) {
      for (uint32_t s = 0; s < in / 16; ++s) {
        for (uint32_t lane = 0; lane < kLanes; ++lane) {
          Words2 words;
          for (uint32_t w = 0; w < 2; ++w) {
            const Place low = PlaceInB(lane, w, 0);
            const uint32_t output = 8 * n + low.column;
            const uint32_t input = 16 * s + low.row;
            words.w[w] = PackHalves(At(weights_[l], in, output, input),
                                    At(weights_[l], in, output, input + 1));
          }
          weight_fragments_[l].push_back(words);
        }
      }
    }
    model_.layers[l] = {
        in,      out,    weight_fragments_[l].data(), biases_[l].data(),
        nullptr, nullptr};
  }
  if (head_.empty()) return;
  model_.head_width = static_cast<uint32_t>(head_.size());
  for (uint32_t s = 0; s < std::max(model_.head_width / 16, 1U); ++s) {
    for (uint32_t t = 0; t < 4; ++t) {
      Words2 words;
      for (uint32_t w = 0; w < 2; ++w) {
        const uint32_t input = 16 * s + PlaceInB(t, w, 0).row;
        words.w[w] = PackHalves(At(head_, model_.head_width, 0, input),
                                At(head_, model_.head_width, 0, input + 1));
      }
      head_words_.push_back(words);
    }
  }
  model_.head = head_words_.data();
}

void CoarseCatalog::PackUsers() {
  const uint32_t width = tower_width();
  user_tower_words_.assign(size_t{options_.max_users} * (width / 2), 0);
  user_gmf_words_.assign(
      size_t{options_.max_users} / kGroupUsers * model_.gmf_steps * kLanes, 0);
  for (uint32_t user = 0; user < options_.num_users; ++user) {
    for (uint32_t p = 0; p < width / 2; ++p) {
      user_tower_words_[size_t{user} * (width / 2) + UserTowerWord(p)] =
          PackHalves(At(user_tower_, width, user, 2 * p),
                     At(user_tower_, width, user, 2 * p + 1));
    }
  }
  for (size_t i = 0; i < user_gmf_words_.size(); ++i) {
    const auto lane = static_cast<uint32_t>(i % kLanes);
    const auto s = static_cast<uint32_t>(i / kLanes % model_.gmf_steps);
    const Place low = PlaceInB(lane, 0, 0);
    const auto user =
        static_cast<uint32_t>(i / kLanes / model_.gmf_steps * kGroupUsers) +
        low.column;
    user_gmf_words_[i] = PackHalves(
        At(user_gmf_, options_.gmf_width, user, 8 * s + low.row),
        At(user_gmf_, options_.gmf_width, user, 8 * s + low.row + 1));
  }
}

void CoarseCatalog::SetSeen(uint32_t user, std::vector<uint32_t> rows) {
  seen_[user] = std::move(rows);
}

const Pass& CoarseCatalog::pass() {
  std::vector<uint32_t> rows;
  std::vector<PassQuery> queries(options_.num_users);
  for (uint32_t user = 0; user < options_.num_users; ++user) {
    queries[user].kind = QueryKind::kScan;
    queries[user].k = options_.num_items;
    queries[user].seen_begin = static_cast<uint32_t>(rows.size());
    queries[user].seen_count = static_cast<uint32_t>(seen_[user].size());
    rows.insert(rows.end(), seen_[user].begin(), seen_[user].end());
  }
  PassHeader header;
  header.num_users = options_.num_users;
  header.queries = sizeof header;
  header.rows =
      static_cast<uint32_t>(sizeof header + queries.size() * sizeof(PassQuery));
  const size_t bytes = header.rows + rows.size() * sizeof(uint32_t);
  input_.resize(bytes / sizeof(Words4) + 1);
  auto* const input = reinterpret_cast<std::byte*>(input_.data());
  std::memcpy(input, &header, sizeof header);
  std::memcpy(input + header.queries, queries.data(),
              queries.size() * sizeof(PassQuery));
  if (!rows.empty()) {
    std::memcpy(input + header.rows, rows.data(),
                rows.size() * sizeof(uint32_t));
  }

  pass_.max_users = options_.max_users;
  pass_.capacity =
      options_.capacity > 0 ? options_.capacity : options_.num_items;
  pass_.input = input;
  pass_.user_tower = user_tower_words_.data();
  pass_.user_gmf = user_gmf_words_.data();
  pass_.threshold = threshold_.data();
  count_.assign(options_.max_users, 0);
  candidates_.assign(size_t{options_.max_users} * pass_.capacity, 0);
  pass_.count = count_.data();
  pass_.candidates = candidates_.data();
  return pass_;
}

double CoarseCatalog::Score(uint32_t user, uint32_t item) const {
  double score = start_[item];
  for (uint32_t k = 0; k < options_.gmf_width; ++k) {
    score += double{At(user_gmf_, options_.gmf_width, user, k)} *
             At(item_gmf_, options_.gmf_width, item, k);
  }
  std::vector<double> h(tower_width());
  for (uint32_t k = 0; k < tower_width(); ++k) {
    h[k] = RoundToHalf(std::max(At(user_tower_, tower_width(), user, k) +
                                    At(item_tower_, tower_width(), item, k),
                                0.0F));
  }
  for (size_t l = 0; l < weights_.size(); ++l) {
    std::vector<double> out(biases_[l].begin(), biases_[l].end());
    for (size_t o = 0; o < out.size(); ++o) {
      for (size_t k = 0; k < h.size(); ++k) {
        out[o] += weights_[l][o * h.size() + k] * h[k];
      }
      out[o] = RoundToHalf(std::max(out[o], 0.0));
    }
    h = out;
  }
  for (size_t k = 0; k < head_.size(); ++k) score += head_[k] * h[k];
  return score;
}

std::set<uint32_t> CoarseCatalog::CheckedRows(uint32_t user) const {
  std::set<uint32_t> rows;
  const uint32_t count = std::min(count_[user], pass_.capacity);
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t key = candidates_[size_t{user} * pass_.capacity + i];
    const uint32_t row = RowOfKey(key);
    EXPECT_TRUE(rows.insert(row).second) << "row " << row << " twice";
    if (row >= options_.num_items) {
      ADD_FAILURE() << "row " << row;
      continue;
    }
    const double expected = Score(user, row);
    EXPECT_NEAR(ScoreOfKey(key), expected, 1e-2 * (1 + std::fabs(expected)))
        << "user " << user << " row " << row;
  }
  return rows;
}

}  // namespace neumf::cuda
