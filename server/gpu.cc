#include "server/gpu.h"

namespace neumf {

Gpu MakeCudaGpu(int device) {
  CudaScorerOptions options;
  options.device = device;
  // More would be memory that nothing uses: the batcher has one thread.
  options.num_streams = 1;
  Gpu gpu;
  gpu.find = [options] { return FindCudaDevice(options.device); };
  gpu.make_builder = [options](const ModelShape& shape,
                               const ScoreNetwork& network) {
    return MakeCudaScorerBuilder(shape, network, options);
  };
  gpu.bytes_needed = [options](const ModelShape& shape,
                               const ScoreNetwork& network) {
    return CudaBytesNeeded(shape, network, options);
  };
  gpu.reserve_bytes = kCudaReserveBytes;
  gpu.reset = [options] { return ResetCudaDevice(options.device); };
  return gpu;
}

}  // namespace neumf
