#pragma once

#include <string>

namespace neumf {

// Whatever the bytes of a checkpoint are, it is refused with a reason or fully
// valid; aborts when it is neither.
void CheckRefusedOrValid(std::string bytes);

}  // namespace neumf
