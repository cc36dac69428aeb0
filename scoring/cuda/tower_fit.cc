#include "scoring/cuda/tower_fit.h"

#include <algorithm>

#include "scoring/cuda/towers.h"

namespace neumf::cuda {
namespace {

// The layers that a tower has.
template <typename Shape>
absl::Span<const uint32_t> WidthsOf() {
  const auto* const end = std::find(std::begin(Shape::kWidths),
                                    std::end(Shape::kWidths), uint32_t{0});
  return {Shape::kWidths,
          static_cast<size_t>(end - std::begin(Shape::kWidths))};
}

bool Holds(TunedTower tower, const std::vector<uint32_t>& widths) {
  const absl::Span<const uint32_t> tuned = TunedWidths(tower);
  return tuned.size() == widths.size() &&
         std::equal(widths.begin(), widths.end(), tuned.begin(),
                    [](uint32_t own, uint32_t most) { return own <= most; });
}

}  // namespace

absl::Span<const uint32_t> TunedWidths(TunedTower tower) {
  switch (tower) {
    case TunedTower::kA:
      return WidthsOf<TowerA>();
    case TunedTower::kB:
      return WidthsOf<TowerB>();
    case TunedTower::kC:
      return WidthsOf<TowerC>();
    case TunedTower::kUntuned:
    case TunedTower::kDot:
      break;
  }
  return {};
}

TunedTower FitTower(const ModelShape& shape, const ScoreNetwork& network) {
  if (!shape.has_tower()) return TunedTower::kDot;
  if (network.activation != Activation::kRelu) return TunedTower::kUntuned;
  for (const TunedTower tower :
       {TunedTower::kA, TunedTower::kB, TunedTower::kC}) {
    if (Holds(tower, shape.tower_widths)) return tower;
  }
  return TunedTower::kUntuned;
}

}  // namespace neumf::cuda
