#include "trainer/cuda/model_view.h"

#include "base/logging.h"

namespace neumf::cuda {
namespace {

TableView TableOf(const ParameterBlock& block) {
  return {block.offset, static_cast<uint32_t>(block.cols)};
}

// Places in the dense part.
class Dense {
 public:
  explicit Dense(const ParameterLayout& layout) : begin_(layout.size) {
    for (const ParameterBlock* const block : layout.Blocks()) {
      if (block->is_table) continue;
      begin_ = block->offset;
      break;
    }
  }

  uint64_t begin() const { return begin_; }

  uint32_t Place(const ParameterBlock& block) const {
    return block.empty() ? kNoBlock
                         : static_cast<uint32_t>(block.offset - begin_);
  }

  // REQUIRES: there is such a weight.
  LayerView Layer(const ParameterBlock& weight,
                  const ParameterBlock& bias) const {
    return {static_cast<uint32_t>(weight.cols),
            static_cast<uint32_t>(weight.rows), Place(weight), Place(bias)};
  }

 private:
  uint64_t begin_;
};

}  // namespace

ModelView ModelViewOf(const ModelSpec& spec, const ParameterLayout& layout) {
  const Dense dense(layout);
  ModelView view;
  view.num_parameters = layout.size;
  view.dense_begin = dense.begin();
  view.num_dense = static_cast<uint32_t>(layout.size - dense.begin());
  view.user_gmf = TableOf(layout.user_gmf);
  view.item_gmf = TableOf(layout.item_gmf);
  view.gmf_head = dense.Place(layout.gmf_head);
  view.head.out = 1;
  view.head.bias = dense.Place(layout.global_bias);
  if (!spec.has_tower()) return view;
  view.user_tower = TableOf(layout.user_tower);
  view.item_tower = TableOf(layout.item_tower);
  view.first_width = spec.hidden[0];
  view.first_user = dense.Layer(layout.first_user_weight, layout.first_bias);
  view.first_item = dense.Layer(layout.first_item_weight, ParameterBlock());
  NEUMF_CHECK(layout.layers.size() <= kMaxTowerLayers);
  for (const ParameterLayout::Dense& layer : layout.layers) {
    view.layers[view.num_layers++] = dense.Layer(layer.weight, layer.bias);
  }
  view.head = dense.Layer(layout.tower_head, layout.global_bias);
  return view;
}

}  // namespace neumf::cuda
