#pragma once

// All kernels of the scorer, for what has to name each: NEUMF_SCORING_KERNELS(X)
// is X(kernel) of every one.

#include "scoring/cuda/kernels/measure_columns.h"
#include "scoring/cuda/kernels/pack_items.h"
#include "scoring/cuda/kernels/scan_tower.h"
#include "scoring/cuda/kernels/scan_wide.h"
#include "scoring/cuda/towers.h"

#define NEUMF_SCORING_KERNELS(X) \
  X(MeasureColumns)              \
  X(PackFragments<4>)            \
  X(PackFragments<2>)            \
  X(PackItemStarts)              \
  X(ScanTower<NoTower>)          \
  X(ScanTower<TowerA>)           \
  X(ScanTower<TowerB>)           \
  X(ScanTower<TowerC>)           \
  X(ScanWide<TowerC>)
