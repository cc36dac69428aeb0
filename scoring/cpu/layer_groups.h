#pragma once

// How the kernel cuts the outputs of a layer into groups, and how their weights
// lie in memory.
//
// The sums of a group stay in registers while the inputs stream by, so how wide
// a group can be depends on the instruction set. The weights of a group lie as
// [in, width]: what one input is multiplied with lies together.
//
//   width 10 with groups of 6, 4 and 2 outputs: 6 + 4
//     in 0:  w00 w10 w20 w30 w40 w50 | in 1: w01 ... w51 | ... one group
//     in 0:  w60 w70 w80 w90         | in 1: w61 ... w91 | ... the next

#include <array>
#include <cstddef>

namespace neumf {

// The widest first; each is a multiple of the last.
using GroupWidths = std::array<size_t, 3>;
constexpr size_t kMaxGroupWidth = 16;
// How many groups of each width there are; they stand in that order.
using GroupCounts = std::array<size_t, 3>;

// Groups for at least `count` outputs.
GroupCounts CutIntoGroups(size_t count, const GroupWidths& widths);

// The outputs in all groups: those asked for and some more.
size_t CountOutputs(const GroupCounts& counts, const GroupWidths& widths);

// Writes the weights [in] of output `o` to their places among those of the
// layer, `packed` [CountOutputs() * in].
void PackOutput(const GroupCounts& counts, const GroupWidths& widths, size_t o,
                const float* weights, size_t in, float* packed);

}  // namespace neumf
