#pragma once

// What the makers of damaged files share.

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "tests/checkpoint/checkpoint_image.h"

namespace neumf {

// Chance that is the same with every standard library.
class Chance {
 public:
  explicit Chance(uint64_t seed) : engine_(seed) {}
  uint64_t Below(uint64_t end) { return engine_() % end; }
  uint64_t Any() { return engine_(); }
  template <typename T>
  T OneOf(const std::vector<T>& values) {
    return values[Below(values.size())];
  }

 private:
  std::mt19937_64 engine_;
};

struct Damage {
  const char* name;
  std::string (*make)(Chance& chance);
  const char* reasons;  // split by '|'
};

// What liars say in a header.
absl::Span<const Damage> DamagesOfHeaders();
// Contents that no digest gives away.
absl::Span<const Damage> DamagesOfContents();

// A checkpoint as our writer makes it: with digests of tensors, or of chunks.
const std::string& AnyWholeFile(Chance& chance);
CheckpointImage TakenApart();
ImageTensor& AnyTensor(Chance& chance, CheckpointImage& image);
// Where the data begins, by the length that the file gives.
uint64_t DataBegin(const std::string& file);

}  // namespace neumf
