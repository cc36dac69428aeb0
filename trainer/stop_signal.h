#pragma once

// SIGINT and SIGTERM as a wish to stop.

#include <atomic>

namespace neumf {

// From now on the first SIGINT or SIGTERM makes the returned flag true, and a
// second one ends the process at once with status 128 + signal. The flag lives
// as long as the process. Call it once, before there are other threads.
const std::atomic<bool>* InstallStopSignals();

}  // namespace neumf
