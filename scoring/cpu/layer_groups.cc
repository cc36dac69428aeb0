#include "scoring/cpu/layer_groups.h"

namespace neumf {

GroupCounts CutIntoGroups(size_t count, const GroupWidths& widths) {
  const size_t padded = (count + widths[2] - 1) / widths[2] * widths[2];
  // As many of the widest as leave a rest that the middle one fills: a narrow
  // group has too few sums to keep the multipliers busy.
  for (size_t widest = padded / widths[0] + 1; widest-- > 0;) {
    const size_t rest = padded - widest * widths[0];
    if (rest % widths[1] == 0) return {widest, rest / widths[1], 0};
  }
  const size_t rest = padded % widths[0];
  return {padded / widths[0], rest / widths[1], rest % widths[1] / widths[2]};
}

size_t CountOutputs(const GroupCounts& counts, const GroupWidths& widths) {
  size_t outputs = 0;
  for (size_t i = 0; i < counts.size(); ++i) outputs += counts[i] * widths[i];
  return outputs;
}

void PackOutput(const GroupCounts& counts, const GroupWidths& widths, size_t o,
                const float* weights, size_t in, float* packed) {
  size_t kind = 0;
  size_t first = 0;  // output of the groups of this kind
  while (o >= first + counts[kind] * widths[kind]) {
    first += counts[kind] * widths[kind];
    ++kind;
  }
  const size_t width = widths[kind];
  const size_t lane = (o - first) % width;
  float* to = packed + (o - lane) * in + lane;
  for (size_t k = 0; k < in; ++k, to += width) *to = weights[k];
}

}  // namespace neumf
