#pragma once

#include <vector>

#include "client/command.h"

namespace neumf {

// neumfctl versions, health: for those who run the server.
std::vector<Command> AdminCommands();

}  // namespace neumf
