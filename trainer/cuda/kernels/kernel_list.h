#pragma once

// All kernels of the trainer, for what has to name each: NEUMF_TRAINING_KERNELS(X)
// is X(kernel) of every one.

#include "trainer/cuda/kernels/draw_batch.h"
#include "trainer/cuda/kernels/train_tiles.h"
#include "trainer/cuda/kernels/update.h"

#define NEUMF_TRAINING_KERNELS(X)    \
  X(DrawBatch)                       \
  X(TrainTiles<DensePlace::kShared>) \
  X(TrainTiles<DensePlace::kGlobal>) \
  X(UpdateParameters)
