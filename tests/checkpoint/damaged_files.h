#pragma once

// Checkpoints that must not be served, each damaged in one known way: by an
// accident of a disk or a copy, or by somebody who knows the format.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace neumf {

struct DamagedFile {
  const char* kind;
  std::string bytes;
  // Texts of which a right refusal holds one.
  std::vector<std::string> reasons;
};

size_t NumDamageKinds();
// The same file for the same arguments. REQUIRES: kind < NumDamageKinds().
DamagedFile MakeDamagedFile(size_t kind, uint64_t seed);
// Of which they are made.
std::string UndamagedFile();

}  // namespace neumf
