#include "scoring/cuda/workspace.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf::cuda {
namespace {

// Users that a graph is made for: fewer kinds of graphs against users that are
// not there. A pass of one user costs nearly what one of eight does.
constexpr uint32_t kUserBuckets[] = {8, 32, 128, kMaxPassUsers};

uint32_t UserBucket(uint32_t num_users, uint32_t max_users) {
  for (const uint32_t bucket : kUserBuckets) {
    if (num_users <= bucket) return std::min(bucket, max_users);
  }
  return max_users;
}

bool Scans(const PassInput& input) {
  for (uint32_t user = 0; user < input.num_users(); ++user) {
    if (input.query(user).kind == QueryKind::kScan) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Workspace>> Workspace::Make(
    Device& device, const PassKernels& kernels, const PassMemorySizes& sizes,
    const ModelShape& shape) {
  std::unique_ptr<Workspace> workspace(new Workspace(kernels, shape));
  workspace->max_users_ = sizes.max_users;
  NEUMF_ASSIGN_OR_RETURN(workspace->stream_, device.MakeStream());
  NEUMF_ASSIGN_OR_RETURN(workspace->memory_, PassMemory::Make(device, sizes));
  return workspace;
}

absl::Status Workspace::RecordUsual(const PassSize& size) {
  for (const uint32_t bucket : kUserBuckets) {
    for (const bool scans : {false, true}) {
      GraphKey key;
      key.users = std::min(bucket, max_users_);
      key.bucket_k = size.bucket_k;
      key.scans = scans;
      pass_ = memory_.MakePass(key.users, static_cast<uint32_t>(size.capacity));
      NEUMF_RETURN_IF_ERROR(FindGraph(key, size).status());
    }
  }
  return stream_->Synchronize();
}

absl::Status Workspace::Begin(absl::Span<const RankQuery> queries,
                              const PassSize& size) {
  again_.clear();
  has_results_ = false;
  if (size.capacity > std::numeric_limits<uint32_t>::max()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no GPU ranks ", size.bucket_k, " items of a user"));
  }
  const auto capacity = static_cast<uint32_t>(size.capacity);
  input_.Plan(queries, shape_, capacity);
  if (input_.is_idle()) return absl::OkStatus();

  const uint32_t num_users = input_.num_users();
  const absl::StatusOr<bool> has_moved =
      memory_.Reserve(input_.size_bytes(), num_users * size.capacity,
                      uint64_t{num_users} * input_.max_k());
  if (!has_moved.ok() || *has_moved) graphs_.clear();
  NEUMF_RETURN_IF_ERROR(has_moved.status());

  GraphKey key;
  key.users = UserBucket(num_users, max_users_);
  key.bucket_k = size.bucket_k;
  key.scans = Scans(input_);
  pass_ = memory_.MakePass(key.users, capacity);
  NEUMF_ASSIGN_OR_RETURN(const Graph* graph, FindGraph(key, size));
  input_.WriteTo(memory_.input());
  NEUMF_RETURN_IF_ERROR(memory_.CopyInput(*stream_, input_.size_bytes()));
  NEUMF_RETURN_IF_ERROR(stream_->Launch(*graph));
  NEUMF_RETURN_IF_ERROR(CopyResults());
  has_results_ = true;
  return absl::OkStatus();
}

absl::Status Workspace::Finish() {
  NEUMF_RETURN_IF_ERROR(stream_->Synchronize());
  if (!has_results_) return absl::OkStatus();
  for (uint32_t user = 0; user < input_.num_users(); ++user) {
    if (result(user).outcome != Outcome::kReady) again_.push_back(user);
  }
  if (again_.empty()) return absl::OkStatus();
  const absl::Status queued = QueueAgain();
  // Also after an error: what runs would be in the way of the next pass.
  const absl::Status ran = stream_->Synchronize();
  return ran.ok() ? queued : ran;
}

absl::Status Workspace::QueueAgain() {
  // An error in its middle may have left counts of users who were before.
  NEUMF_RETURN_IF_ERROR(memory_.ClearHistogram(*stream_));
  const absl::Span<const uint32_t> users = again_;
  for (size_t first = 0; first < users.size(); first += kRadixUsers) {
    RadixUsers some;
    const auto next = users.subspan(first, kRadixUsers);
    some.count = static_cast<uint32_t>(next.size());
    std::copy(next.begin(), next.end(), some.user);
    NEUMF_RETURN_IF_ERROR(kernels_.QueueAgain(
        *stream_, pass_, memory_.scratch(), some, memory_.radix()));
  }
  return CopyResults();
}

absl::Status Workspace::CopyResults() {
  return memory_.CopyResults(*stream_, input_.num_users(),
                             uint64_t{input_.num_users()} * input_.max_k());
}

absl::StatusOr<const Graph*> Workspace::FindGraph(const GraphKey& key,
                                                  const PassSize& size) {
  for (const CachedGraph& cached : graphs_) {
    if (cached.key == key) return cached.graph.get();
  }
  const Levels levels = size.MakeLevelsOf(shape_.num_items);
  NEUMF_ASSIGN_OR_RETURN(std::unique_ptr<Graph> graph, stream_->Record([&] {
    return kernels_.QueuePass(*stream_, pass_, memory_.scratch(), levels,
                              key.scans);
  }));
  graphs_.push_back({key, std::move(graph)});
  return graphs_.back().graph.get();
}

}  // namespace neumf::cuda
