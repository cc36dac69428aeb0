#pragma once

#include <vector>

#include "client/command.h"

namespace neumf {

// neumfctl checkpoint inspect, checkpoint verify: they need no server.
std::vector<Command> CheckpointCommands();

}  // namespace neumf
