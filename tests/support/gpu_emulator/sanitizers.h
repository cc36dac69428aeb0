#pragma once

// What the emulator tells the sanitizers, where there are any: which memory is
// nobody's, and on which stack code runs.

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NEUMF_EMULATOR_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define NEUMF_EMULATOR_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define NEUMF_EMULATOR_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define NEUMF_EMULATOR_TSAN 1
#endif

#ifdef NEUMF_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef NEUMF_EMULATOR_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace neumf {

// ---- Memory -----------------------------------------------------------------

#ifdef NEUMF_EMULATOR_ASAN
constexpr bool kWithAddressSanitizer = true;

// From now on a use of [begin, begin + bytes) ends the program.
inline void Forbid(void* begin, size_t bytes) {
  ASAN_POISON_MEMORY_REGION(begin, bytes);
}
inline void Allow(void* begin, size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(begin, bytes);
}
#else
constexpr bool kWithAddressSanitizer = false;

inline void Forbid(void* /*begin*/, size_t /*bytes*/) {}
inline void Allow(void* /*begin*/, size_t /*bytes*/) {}
#endif

// ---- Stacks -----------------------------------------------------------------

// A stack on which code runs: the host thread's own one, or another. A jump is
// told before it, and on arrival; Leave() has to be inlined, as ThreadSanitizer
// counts the calls on each stack.
#if defined(NEUMF_EMULATOR_ASAN)
class AnnouncedStack {
 public:
  AnnouncedStack() =
      default;  // the one that runs; its place is told on leaving
  AnnouncedStack(void* stack, size_t bytes) : stack_(stack), bytes_(bytes) {}

  // What ran there is dropped, and so are the zones around its variables. Not
  // for the host's.
  void Drop() {
    ASAN_UNPOISON_MEMORY_REGION(stack_, bytes_);
    frames_ = nullptr;
  }
  static void Leave(AnnouncedStack& from, AnnouncedStack& to) {
    __sanitizer_start_switch_fiber(&from.frames_, to.stack_, to.bytes_);
  }
  static void Arrive(AnnouncedStack& from, AnnouncedStack& to) {
    __sanitizer_finish_switch_fiber(to.frames_, &from.stack_, &from.bytes_);
  }

 private:
  const void* stack_ = nullptr;
  size_t bytes_ = 0;
  void* frames_ = nullptr;  // on the sanitizer's own stack
};
#elif defined(NEUMF_EMULATOR_TSAN)
class AnnouncedStack {
 public:
  AnnouncedStack() = default;
  AnnouncedStack(void* /*stack*/, size_t /*bytes*/)
      : own_(__tsan_create_fiber(0)), fiber_(own_) {}
  ~AnnouncedStack() {
    if (own_ != nullptr) __tsan_destroy_fiber(own_);
  }
  AnnouncedStack(const AnnouncedStack&) = delete;
  AnnouncedStack& operator=(const AnnouncedStack&) = delete;

  void Drop() {
    __tsan_destroy_fiber(own_);
    fiber_ = own_ = __tsan_create_fiber(0);
  }
  __attribute__((always_inline)) static void Leave(AnnouncedStack& /*from*/,
                                                   AnnouncedStack& to) {
    __tsan_switch_to_fiber(to.fiber_, 0);
  }
  static void Arrive(AnnouncedStack& /*from*/, AnnouncedStack& /*to*/) {}

 private:
  void* own_ = nullptr;
  void* fiber_ = __tsan_get_current_fiber();
};
#else
class AnnouncedStack {
 public:
  AnnouncedStack() = default;
  AnnouncedStack(void* /*stack*/, size_t /*bytes*/) {}

  void Drop() {}
  static void Leave(AnnouncedStack& /*from*/, AnnouncedStack& /*to*/) {}
  static void Arrive(AnnouncedStack& /*from*/, AnnouncedStack& /*to*/) {}
};
#endif

}  // namespace neumf
