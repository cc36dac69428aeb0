// The input is a whole file, as PyTorch or a run that was interrupted left it.
// It is refused with a reason, or every tensor has as many finite values as its
// shape says; and with a digest, no byte of the data can be another.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/logging.h"
#include "tests/checkpoint/memory_file.h"
#include "trainer/tensor_file.h"

namespace neumf {
namespace {

absl::StatusOr<TensorFile> Read(std::string bytes) {
  MemoryFile file(std::move(bytes));
  return ReadTensors(file, "weights.safetensors");
}

void CheckRefused(const absl::Status& status) {
  NEUMF_CHECK(absl::IsDataLoss(status) || absl::IsInvalidArgument(status));
  NEUMF_CHECK(!status.message().empty());
}

// The number of values.
size_t CheckTensor(const Tensor& tensor) {
  uint64_t count = 1;
  for (const uint64_t size : tensor.shape) count *= size;
  NEUMF_CHECK(tensor.values.size() == count);
  for (const float value : tensor.values) NEUMF_CHECK(std::isfinite(value));
  return tensor.values.size();
}

void Run(const std::string& bytes) {
  const absl::StatusOr<TensorFile> file = Read(bytes);
  if (!file.ok()) return CheckRefused(file.status());
  size_t num_values = 0;
  for (const auto& [name, tensor] : file->tensors) {
    num_values += CheckTensor(tensor);
  }
  if (!file->is_digested || num_values == 0) return;
  // The data is at the end, and ends with a value.
  std::string changed = bytes;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  CheckRefused(Read(changed).status());
}

}  // namespace
}  // namespace neumf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  neumf::Run(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
