#include "server/gpu.h"

namespace neumf {

Gpu MakeCudaGpu(const CudaScorerOptions& options) {
  Gpu gpu;
  gpu.find = [options] { return FindCudaDevice(options.device); };
  gpu.make_builder = [options](const ModelShape& shape,
                               const ScoreNetwork& network) {
    return MakeCudaScorerBuilder(shape, network, options);
  };
  gpu.reset = [options] { return ResetCudaDevice(options.device); };
  return gpu;
}

}  // namespace neumf
