#pragma once

// All kernels of the scorer, for what has to name each: NEUMF_SCORING_KERNELS(X)
// is X(kernel) of every one.

#include "scoring/cuda/kernels/finish.h"
#include "scoring/cuda/kernels/measure_columns.h"
#include "scoring/cuda/kernels/pack_items.h"
#include "scoring/cuda/kernels/prepare_users.h"
#include "scoring/cuda/kernels/radix_rank.h"
#include "scoring/cuda/kernels/rescore.h"
#include "scoring/cuda/kernels/scan_exact.h"
#include "scoring/cuda/kernels/scan_tower.h"
#include "scoring/cuda/kernels/scan_wide.h"
#include "scoring/cuda/kernels/select_level.h"
#include "scoring/cuda/towers.h"

#define NEUMF_SCORING_KERNELS(X)    \
  /* Once a model. */               \
  X(MeasureColumns)                 \
  X(PackFragments<4>)               \
  X(PackFragments<2>)               \
  X(PackItemStarts)                 \
  /* A pass. */                     \
  X(PrepareUsers)                   \
  X(StartExact)                     \
  X(ScanTower<NoTower>)             \
  X(ScanTower<TowerA>)              \
  X(ScanTower<TowerB>)              \
  X(ScanTower<TowerC>)              \
  X(ScanWide<TowerA>)               \
  X(ScanWide<TowerB>)               \
  X(ScanWide<TowerC>)               \
  X(ScanExact)                      \
  X(SelectLevel)                    \
  X(Rescore)                        \
  X(Finish)                         \
  /* Users who are ranked again. */ \
  X(RadixHistogram)                 \
  X(RadixStep)                      \
  X(RadixCollect)                   \
  X(FinishAgain)
