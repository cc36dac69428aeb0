#pragma once

// Random draws for one user that depend on nothing but a seed, what they are
// for, and the user's external id: another user more in the data changes
// nobody's draws. Belongs to one thread.

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace neumf {

class UserDraws {
 public:
  // Draws with another `purpose` are independent.
  UserDraws(uint64_t seed, uint64_t purpose, absl::string_view user_id);

  // Uniform in [0, bound), without bias. REQUIRES: bound > 0.
  uint32_t Below(uint32_t bound);

  // Moves `count` elements, drawn without replacement, to the front of
  // `*values`. REQUIRES: count <= values->size() < 2^32.
  void MoveSampleToFront(size_t count, std::vector<uint32_t>* values);

 private:
  uint64_t state_;
};

}  // namespace neumf
