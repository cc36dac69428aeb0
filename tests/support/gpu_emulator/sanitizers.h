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

// A stack that is entered and left again, told as it happens: by who enters it
// before that and when it is back, by who runs there on arrival and before it
// leaves.
#if defined(NEUMF_EMULATOR_ASAN)
class AnnouncedStack {
 public:
  AnnouncedStack(void* stack, size_t bytes) : stack_(stack), bytes_(bytes) {}

  // What ran there is dropped, and so are the zones around its variables.
  void Drop() {
    Allow(stack_, bytes_);
    own_ = nullptr;
  }
  void BeforeEntering() {
    __sanitizer_start_switch_fiber(&others_, stack_, bytes_);
  }
  void OnArrival() {
    __sanitizer_finish_switch_fiber(own_, &other_stack_, &other_bytes_);
  }
  void BeforeLeaving() {
    __sanitizer_start_switch_fiber(&own_, other_stack_, other_bytes_);
  }
  void WhenBack() {
    __sanitizer_finish_switch_fiber(others_, nullptr, nullptr);
  }

 private:
  void* const stack_;
  const size_t bytes_;
  void* own_ = nullptr;  // its frames on the sanitizer's own stack
  void* others_ = nullptr;
  const void* other_stack_ = nullptr;
  size_t other_bytes_ = 0;
};
#elif defined(NEUMF_EMULATOR_TSAN)
class AnnouncedStack {
 public:
  AnnouncedStack(void* /*stack*/, size_t /*bytes*/) {}
  ~AnnouncedStack() { __tsan_destroy_fiber(own_); }

  void Drop() {
    __tsan_destroy_fiber(own_);
    own_ = __tsan_create_fiber(0);
  }
  void BeforeEntering() {
    other_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(own_, 0);
  }
  void OnArrival() {}
  void BeforeLeaving() { __tsan_switch_to_fiber(other_, 0); }
  void WhenBack() {}

 private:
  void* own_ = __tsan_create_fiber(0);
  void* other_ = nullptr;
};
#else
class AnnouncedStack {
 public:
  AnnouncedStack(void* /*stack*/, size_t /*bytes*/) {}

  void Drop() {}
  void BeforeEntering() {}
  void OnArrival() {}
  void BeforeLeaving() {}
  void WhenBack() {}
};
#endif

}  // namespace neumf
