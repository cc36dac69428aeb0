#include "tests/trainer/fixed_model.h"

namespace neumf {

FixedModel MakeFixedModel(
    const std::vector<std::pair<std::string, float>>& items,
    const std::vector<std::string>& users) {
  FixedModel fixed;
  ServingModel& model = fixed.model;
  std::vector<std::string> item_ids;
  fixed.items.gmf = AlignedMatrix(items.size(), 1);
  for (size_t i = 0; i < items.size(); ++i) {
    item_ids.push_back(items[i].first);
    fixed.items.gmf.row(i)[0] = items[i].second;
  }
  model.shape.num_users = users.size();
  model.shape.num_items = items.size();
  model.shape.gmf_width = 1;
  model.users.gmf = AlignedMatrix(users.size(), 1);
  for (size_t u = 0; u < users.size(); ++u) model.users.gmf.row(u)[0] = 1;
  model.item_ids = *IdTable::FromIds(item_ids);
  model.user_ids = *IdTable::FromIds(users);
  return fixed;
}

}  // namespace neumf
