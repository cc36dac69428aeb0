#pragma once

#include "client/command.h"

namespace neumf {

// neumfctl load-test: how a server does under a given load.
Command LoadTestCommand();

}  // namespace neumf
