#include "server/version_chooser.h"

#include <algorithm>

namespace neumf {
namespace {

// Null when it is not there.
const CheckpointFile* Find(const std::vector<CheckpointFile>& found,
                           uint64_t version) {
  const auto file = std::find_if(
      found.begin(), found.end(),
      [&](const CheckpointFile& f) { return f.version == version; });
  return file == found.end() ? nullptr : &*file;
}

}  // namespace

const CheckpointFile* NextVersion(const std::vector<CheckpointFile>& found,
                                  const ServingPolicy& policy, uint64_t served,
                                  const std::set<uint64_t>& unfit,
                                  uint64_t last_good) {
  if (served != 0 && policy.pinned == served) return nullptr;
  const auto is_allowed = [&](const CheckpointFile& file) {
    return file.version != served && !policy.Refuses(file.version);
  };
  const auto is_fit = [&](const CheckpointFile& file) {
    return is_allowed(file) && unfit.count(file.version) == 0;
  };
  const bool may_stay = served != 0 && !policy.Refuses(served);
  if (policy.pinned.has_value()) {
    for (const CheckpointFile& file : found) {
      if (file.version == policy.pinned && is_fit(file)) return &file;
    }
    if (may_stay) return nullptr;
  }
  const auto largest = std::find_if(found.rbegin(), found.rend(), is_fit);
  if (largest == found.rend()) return nullptr;
  if (may_stay) return largest->version < served ? nullptr : &*largest;
  if (largest == std::find_if(found.rbegin(), found.rend(), is_allowed)) {
    return &*largest;
  }
  const CheckpointFile* const good = Find(found, last_good);
  return good != nullptr && is_fit(*good) ? good : &*largest;
}

const CheckpointFile* SafeVersion(const std::vector<CheckpointFile>& found,
                                  uint64_t served,
                                  const std::set<uint64_t>& unfit,
                                  uint64_t last_good) {
  const bool is_free = served == 0 && unfit.count(last_good) == 0;
  return is_free ? Find(found, last_good) : nullptr;
}

ServingPolicy PolicyAfterLoad(ServingPolicy policy, uint64_t version) {
  policy.pinned = version;
  policy.refused.erase(version);
  return policy;
}

ServingPolicy PolicyAfterRollback(ServingPolicy policy, uint64_t left,
                                  uint64_t target,
                                  const std::vector<CheckpointFile>& found) {
  for (const CheckpointFile& file : found) {
    const bool is_between = target < file.version && file.version < left;
    if (is_between && file.version != policy.pinned) {
      policy.Refuse(file.version);
    }
  }
  policy.Refuse(left);
  if (policy.pinned != left) return policy;
  policy.pinned.reset();
  if (!policy.Refuses(target)) policy.pinned = target;
  return policy;
}

ServingPolicy PolicyAfterRejection(ServingPolicy policy, uint64_t version) {
  if (policy.pinned == version) policy.pinned.reset();
  policy.Refuse(version);
  return policy;
}

ServingPolicy PolicyAfterVerdict(ServingPolicy policy, uint64_t version) {
  if (policy.pinned != version) policy.Refuse(version);
  return policy;
}

ServingPolicy PolicyOfEarlier(ServingPolicy policy, uint64_t left,
                              const std::vector<CheckpointFile>& found) {
  policy.pinned.reset();
  policy.refused.insert(left);
  for (const CheckpointFile& file : found) {
    if (file.version > left) policy.refused.insert(file.version);
  }
  return policy;
}

}  // namespace neumf
