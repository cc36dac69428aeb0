#pragma once

#include "client/command.h"

namespace neumf {

// neumfctl replay: the calls of a request log once more.
Command ReplayCommand();

}  // namespace neumf
