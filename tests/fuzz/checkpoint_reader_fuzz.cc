// The input is a whole file.

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/checkpoint_property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  neumf::CheckRefusedOrValid(
      std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
