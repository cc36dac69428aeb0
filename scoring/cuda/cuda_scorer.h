#pragma once

// Scores on a GPU: a scan of the catalog in halves on the tensor cores, whose
// error is bounded for each user, finds the candidates; float32 in the order of
// operations of scorer.h decides. It keeps scorer.h's contract, bit for bit,
// but for two points: `cancelled` is looked at before each pass of max_users;
// and Rank() is RESOURCE_EXHAUSTED where a query of very large K or of very many
// rows finds no memory, after which others are answered as before.
//
// Programs built without the CUDA toolkit link another definition of the same
// functions, which have no device (no_cuda.cc); so do machines without a driver.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "scoring/scorer.h"

namespace neumf {

// What has to be free on a device beside CudaBytesNeeded(): CUDA gives memory in
// pieces of 2 MiB, and takes some itself for recorded graphs, for the code of
// kernels and for what they keep outside of registers.
constexpr uint64_t kCudaReserveBytes = uint64_t{256} << 20;

struct CudaScorerOptions {
  // Which GPU, as CUDA counts them. Default: the first.
  int device = 0;
  // Users that are answered in one pass; a larger batch takes several. More use
  // the GPU better, up to some 256, and take memory. Default: measured nowhere
  // yet; computed.
  uint32_t max_users = 256;
  // Calls of Rank() that run at the same time; each has its buffers and its
  // stream. More wait for each other. Default: one that runs, one that prepares.
  uint32_t num_streams = 2;
  // Whether the catalog may be scanned in halves; else all is float32. Answers
  // are the same. Default: where the model allows it.
  bool coarse = true;
};

// What there is. UNAVAILABLE says why nothing is: no CUDA in this build, no
// driver, no device of that number, one that is too old.
struct CudaDeviceInfo {
  std::string name;  // e.g. "NVIDIA H200"
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;
};
absl::StatusOr<CudaDeviceInfo> FindCudaDevice(int device);

// The bytes of the device that a scorer of this shape takes, its buffers
// included, so that a budget can be checked before a byte is read.
uint64_t CudaBytesNeeded(const ModelShape& shape, const ScoreNetwork& network,
                         const CudaScorerOptions& options);

// As MakeScorerBuilder(). UNAVAILABLE as FindCudaDevice(); UNIMPLEMENTED for a
// tower whose activation is not ReLU: only the CPU has its bits;
// RESOURCE_EXHAUSTED when the device has less memory free than
// CudaBytesNeeded() and kCudaReserveBytes, with all numbers. Add() and Build()
// may fail so, too; a scorer that is built has what usual queries take.
absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeCudaScorerBuilder(
    const ModelShape& shape, const ScoreNetwork& network,
    const CudaScorerOptions& options);

// After Rank() was UNAVAILABLE: gives up everything on the device and starts
// anew. Scorers made before are dead: they answer UNAVAILABLE and are free to
// go. UNAVAILABLE when the device stays lost; then only a new process helps.
absl::Status ResetCudaDevice(int device);

}  // namespace neumf
