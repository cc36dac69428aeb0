// Whatever the text is, a manifest is refused with a reason or can be written
// and read again as the same manifest.

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/logging.h"
#include "checkpoint/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<neumf::Manifest> manifest = neumf::ParseManifest(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!manifest.ok()) {
    NEUMF_CHECK(absl::IsDataLoss(manifest.status()) ||
                absl::IsFailedPrecondition(manifest.status()));
    return 0;
  }
  const std::string text = neumf::SerializeManifest(*manifest);
  const absl::StatusOr<neumf::Manifest> again = neumf::ParseManifest(text);
  NEUMF_CHECK(again.ok());
  NEUMF_CHECK(neumf::SerializeManifest(*again) == text);
  return 0;
}
