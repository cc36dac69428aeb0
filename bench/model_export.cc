#include "bench/model_export.h"

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace neumf {
namespace {

absl::Status CheckExportable(const BenchModel& model) {
  const ModelShape& shape = model.shape;
  if (shape.has_tower() && shape.gmf_width > 0 && !shape.has_item_bias &&
      model.network.activation == Activation::kRelu) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "only a tower of ReLU layers with a product part is exported");
}

class Exporter {
 public:
  explicit Exporter(absl::string_view directory) : directory_(directory) {}

  absl::Status Write(absl::string_view name, absl::string_view bytes) const {
    const std::string path = absl::StrCat(directory_, "/", name);
    std::ofstream file(path, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    return file ? absl::OkStatus()
                : absl::UnavailableError(absl::StrCat("cannot write ", path));
  }
  absl::Status Write(absl::string_view name, const float* values,
                     size_t count) const {
    return Write(
        absl::StrCat(name, ".f32"),
        {reinterpret_cast<const char*>(values), count * sizeof(float)});
  }
  absl::Status Write(absl::string_view name,
                     const std::vector<float>& values) const {
    return Write(name, values.data(), values.size());
  }

 private:
  const std::string directory_;
};

absl::Status WriteNetwork(const ScoreNetwork& network,
                          const Exporter& exporter) {
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const std::string name = absl::StrCat("tower.", i + 2);
    const DenseLayer& layer = network.layers[i];
    NEUMF_RETURN_IF_ERROR(exporter.Write(name + ".weight", layer.weight));
    NEUMF_RETURN_IF_ERROR(exporter.Write(name + ".bias", layer.bias));
  }
  return exporter.Write("head.weight", network.head_weight);
}

// The two vectors of all users, one user after the other.
absl::Status WriteUsers(const ModelShape& shape,
                        absl::Span<const RankQuery> users,
                        const Exporter& exporter) {
  std::vector<float> tower;
  std::vector<float> gmf;
  for (const RankQuery& user : users) {
    tower.insert(tower.end(), user.user_tower,
                 user.user_tower + shape.tower_width());
    gmf.insert(gmf.end(), user.user_gmf, user.user_gmf + shape.gmf_width);
  }
  NEUMF_RETURN_IF_ERROR(exporter.Write("user.tower", tower));
  return exporter.Write("user.gmf", gmf);
}

}  // namespace

absl::Status ExportModel(const BenchModel& model,
                         absl::Span<const RankQuery> users,
                         absl::string_view directory) {
  NEUMF_RETURN_IF_ERROR(CheckExportable(model));
  const Exporter exporter(directory);
  NEUMF_RETURN_IF_ERROR(exporter.Write("item.tower", model.items.tower.data(),
                                       model.items.tower.size()));
  NEUMF_RETURN_IF_ERROR(exporter.Write("item.gmf", model.items.gmf.data(),
                                       model.items.gmf.size()));
  NEUMF_RETURN_IF_ERROR(WriteNetwork(model.network, exporter));
  NEUMF_RETURN_IF_ERROR(WriteUsers(model.shape, users, exporter));

  nlohmann::ordered_json json = {{"num_items", model.shape.num_items},
                                 {"gmf_width", model.shape.gmf_width},
                                 {"tower_widths", model.shape.tower_widths},
                                 {"head_bias", model.network.head_bias},
                                 {"k", users.front().k},
                                 {"seen", nlohmann::json::array()}};
  for (const RankQuery& user : users) {
    json["seen"].push_back(
        std::vector<uint32_t>(user.seen.begin(), user.seen.end()));
  }
  return exporter.Write("model.json", json.dump());
}

}  // namespace neumf
