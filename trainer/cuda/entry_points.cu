// The training kernels, for the GPU.

#include "scoring/cuda/device/entry_point.cuh"
#include "trainer/cuda/kernels/draw_batch.h"
#include "trainer/cuda/kernels/train_tiles.h"
#include "trainer/cuda/kernels/update.h"

namespace neumf::cuda {

template const void* EntryPoint<DrawBatch>();
template const void* EntryPoint<TrainTiles<DensePlace::kShared>>();
template const void* EntryPoint<TrainTiles<DensePlace::kGlobal>>();
template const void* EntryPoint<UpdateParameters>();

}  // namespace neumf::cuda
