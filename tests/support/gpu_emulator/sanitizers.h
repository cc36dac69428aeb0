#pragma once

// What the emulator tells AddressSanitizer, where there is one: on which stack
// code runs, and which memory is nobody's.

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define NEUMF_EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NEUMF_EMULATOR_ASAN 1
#endif
#endif

#ifdef NEUMF_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace neumf {

#ifdef NEUMF_EMULATOR_ASAN
constexpr bool kWithAddressSanitizer = true;

// From now on a use of [begin, begin + bytes) ends the program.
inline void Forbid(void* begin, size_t bytes) {
  ASAN_POISON_MEMORY_REGION(begin, bytes);
}
inline void Allow(void* begin, size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(begin, bytes);
}

// Around a switch: of the stack that is left, and of the one that goes on.
inline void WillRunOn(void** fake_stack, const void* stack, size_t bytes) {
  __sanitizer_start_switch_fiber(fake_stack, stack, bytes);
}
inline void RunsAgain(void* fake_stack, const void** left_stack,
                      size_t* left_bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, left_stack, left_bytes);
}
#else
constexpr bool kWithAddressSanitizer = false;

inline void Forbid(void* /*begin*/, size_t /*bytes*/) {}
inline void Allow(void* /*begin*/, size_t /*bytes*/) {}
inline void WillRunOn(void** /*fake_stack*/, const void* /*stack*/,
                      size_t /*bytes*/) {}
inline void RunsAgain(void* /*fake_stack*/, const void** /*left_stack*/,
                      size_t* /*left_bytes*/) {}
#endif

}  // namespace neumf
