#include "scoring/cpu/dot_users.h"

#include <algorithm>

#include "base/logging.h"

namespace neumf {
DotUsers::DotUsers(const KernelNetwork& network, const GroupWidths& widths)
    : widths_(widths),
      weight_(kMaxOutputs * network.gmf_width),
      bias_(kMaxOutputs) {
  indices_.reserve(kMax);
  std::fill(bias_.begin(), bias_.end(), network.head_bias);
  layer_.in = network.gmf_width;
  layer_.weight = weight_.data();
  layer_.bias = bias_.data();
}

void DotUsers::Reset(absl::Span<const RankQuery> queries,
                     absl::Span<const size_t> indices) {
  NEUMF_CHECK(indices.size() <= kMax);
  indices_.assign(indices.begin(), indices.end());
  layer_.groups = CutIntoGroups(indices.size(), widths_);
  layer_.out = CountOutputs(layer_.groups, widths_);
  for (size_t o = 0; o < indices.size(); ++o) {
    PackOutput(layer_.groups, widths_, o, queries[indices[o]].user_gmf,
               layer_.in, weight_.data());
  }
}

}  // namespace neumf
