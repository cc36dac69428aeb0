#include "scoring/cuda/exact_tables.h"

#include <algorithm>

#include "base/status_macros.h"
#include "scoring/cuda/drain.h"

namespace neumf::cuda {
namespace {

constexpr size_t kAlignedFloats = 4;  // 16 bytes

// The weights of a network as one run of floats; places in it until it lies on
// the device.
class NetworkImage {
 public:
  NetworkImage(const ModelShape& shape, const ScoreNetwork& network) {
    if (!shape.has_tower()) return;
    for (const DenseLayer& layer : network.layers) AddLayer(layer);
    head_ = Reserve(network.head_weight.size());
    std::copy(network.head_weight.begin(), network.head_weight.end(),
              floats_.data() + head_);
  }

  const std::vector<float>& floats() const { return floats_; }

  // Fills in what points to the weights, which lie at `base`.
  void Place(const float* base, ExactModel* model) const {
    for (size_t l = 0; l < layers_.size(); ++l) {
      model->layers[l].weight = base + layers_[l].weight;
      model->layers[l].bias = base + layers_[l].bias;
    }
    model->head_weight = base + head_;
  }

 private:
  struct Layer {
    size_t weight = 0;
    size_t bias = 0;
  };

  // The place of `count` more floats, zeros.
  size_t Reserve(size_t count) {
    const size_t place = floats_.size();
    const size_t aligned = (count + kAlignedFloats - 1) / kAlignedFloats;
    floats_.resize(place + aligned * kAlignedFloats);
    return place;
  }

  void AddLayer(const DenseLayer& layer) {
    const size_t stride = PaddedOuts(layer.out);
    Layer placed;
    placed.weight = Reserve(layer.in * stride);
    placed.bias = Reserve(stride);
    for (size_t out = 0; out < layer.out; ++out) {
      for (size_t in = 0; in < layer.in; ++in) {
        floats_[placed.weight + in * stride + out] =
            layer.weight[out * layer.in + in];
      }
    }
    std::copy(layer.bias.begin(), layer.bias.end(),
              floats_.data() + placed.bias);
    layers_.push_back(placed);
  }

  std::vector<float> floats_;
  std::vector<Layer> layers_;
  size_t head_ = 0;
};

uint64_t TableBytes(const ModelShape& shape, uint64_t width) {
  return shape.num_items * width * sizeof(float);
}

}  // namespace

ExactModel SizesOfExactModel(const ModelShape& shape,
                             const ScoreNetwork& network) {
  ExactModel model;
  model.num_items = static_cast<uint32_t>(shape.num_items);
  model.gmf_width = shape.gmf_width;
  model.head_bias = network.head_bias;
  if (!shape.has_tower()) return model;
  model.tower_width = shape.tower_width();
  model.head_width = shape.tower_widths.back();
  model.widest = shape.tower_width();
  for (const DenseLayer& layer : network.layers) {
    ExactLayer& sizes = model.layers[model.num_layers++];
    sizes.in = layer.in;
    sizes.out = layer.out;
    model.widest = std::max(model.widest, layer.out);
  }
  return model;
}

uint64_t ExactTables::Bytes(const ModelShape& shape,
                            const ScoreNetwork& network) {
  const uint64_t bias_width = shape.has_item_bias ? 1 : 0;
  return TableBytes(shape, shape.tower_width() + shape.gmf_width + bias_width) +
         NetworkImage(shape, network).floats().size() * sizeof(float);
}

absl::StatusOr<ExactTables> ExactTables::Make(Device& device,
                                              const ModelShape& shape,
                                              const ScoreNetwork& network,
                                              Uploader& uploader) {
  ExactTables tables;
  const auto allocate = [&device](uint64_t bytes) {
    return Memory::Allocate(device, Memory::Place::kDevice, bytes);
  };
  const NetworkImage image(shape, network);
  const size_t image_bytes = image.floats().size() * sizeof(float);
  NEUMF_ASSIGN_OR_RETURN(tables.tower_,
                         allocate(TableBytes(shape, shape.tower_width())));
  NEUMF_ASSIGN_OR_RETURN(tables.gmf_,
                         allocate(TableBytes(shape, shape.gmf_width)));
  NEUMF_ASSIGN_OR_RETURN(
      tables.bias_, allocate(TableBytes(shape, shape.has_item_bias ? 1 : 0)));
  NEUMF_ASSIGN_OR_RETURN(tables.network_, allocate(image_bytes));

  tables.model_ = SizesOfExactModel(shape, network);
  ExactModel& model = tables.model_;
  model.item_tower = tables.tower_.as<float>();
  model.item_gmf = tables.gmf_.as<float>();
  model.item_bias = tables.bias_.as<float>();
  Drain drain(uploader.stream());
  image.Place(tables.network_.as<float>(), &model);
  NEUMF_RETURN_IF_ERROR(uploader.Write(tables.network_.as<float>(),
                                       image.floats().data(), image_bytes));
  drain.Dismiss();
  return tables;
}

absl::Status ExactTables::Add(const ItemRows& rows, Uploader& uploader) {
  Memory* table = &bias_;
  uint64_t width = 1;
  if (rows.table == ItemTable::kTower) {
    table = &tower_;
    width = model_.tower_width;
  } else if (rows.table == ItemTable::kGmf) {
    table = &gmf_;
    width = model_.gmf_width;
  }
  return uploader.Write(table->as<float>() + rows.first_row * width,
                        rows.values, rows.num_rows * width * sizeof(float));
}

uint64_t ExactTables::size_bytes() const {
  return tower_.size_bytes() + gmf_.size_bytes() + bias_.size_bytes() +
         network_.size_bytes();
}

}  // namespace neumf::cuda
