// How the training kernels start on a GPU.

#include "scoring/cuda/device/launch_kernel.h"
#include "trainer/cuda/kernels/draw_batch.h"
#include "trainer/cuda/kernels/train_tiles.h"
#include "trainer/cuda/kernels/update.h"

namespace neumf::cuda {

template absl::Status Launch(Stream& stream, const Grid& grid,
                             const DrawBatch& kernel);
template absl::Status Launch(Stream& stream, const Grid& grid,
                             const TrainTiles<DensePlace::kShared>& kernel);
template absl::Status Launch(Stream& stream, const Grid& grid,
                             const TrainTiles<DensePlace::kGlobal>& kernel);
template absl::Status Launch(Stream& stream, const Grid& grid,
                             const UpdateParameters& kernel);

template uint32_t BlocksPerMultiprocessor<TrainTiles<DensePlace::kShared>>(
    const Device& device, uint32_t shared_bytes);
template uint32_t BlocksPerMultiprocessor<TrainTiles<DensePlace::kGlobal>>(
    const Device& device, uint32_t shared_bytes);

}  // namespace neumf::cuda
