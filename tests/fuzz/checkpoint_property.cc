#include "tests/fuzz/checkpoint_property.h"

#include <utility>

#include "base/logging.h"
#include "checkpoint/checkpoint_reader.h"
#include "tests/checkpoint/memory_file.h"

namespace neumf {

void CheckRefusedOrValid(std::string bytes) {
  MemoryFile file(std::move(bytes));
  const absl::StatusOr<LoadedCheckpoint> loaded =
      LoadCheckpoint(file, "1.safetensors");
  if (loaded.ok()) {
    NEUMF_CHECK(Validate(loaded->model).ok());
    NEUMF_CHECK(Validate(loaded->model.shape, loaded->items).ok());
    return;
  }
  NEUMF_CHECK(absl::IsDataLoss(loaded.status()) ||
              absl::IsFailedPrecondition(loaded.status()));
  NEUMF_CHECK(!loaded.status().message().empty());
}

}  // namespace neumf
