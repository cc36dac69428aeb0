#pragma once

#include "client/command.h"

namespace neumf {

// neumfctl recommend.
Command RecommendCommand();

}  // namespace neumf
