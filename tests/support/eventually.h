#pragma once

// Waits without an end of their own make a failing test hang; these do not.

#include <chrono>
#include <thread>

namespace neumf {

// Far more than anything takes on a loaded machine.
constexpr std::chrono::minutes kFarTooLong(1);

// False when `condition()` is still false after kFarTooLong.
template <typename Condition>
[[nodiscard]] bool Eventually(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + kFarTooLong;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= give_up) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace neumf
