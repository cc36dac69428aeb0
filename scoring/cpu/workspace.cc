#include "scoring/cpu/workspace.h"

#include <utility>

namespace neumf {

std::unique_ptr<Workspace> WorkspaceList::Take(size_t num_queries) {
  std::unique_ptr<Workspace> workspace = TakeAny();
  if (workspace == nullptr) {
    workspace = std::make_unique<Workspace>();
    workspace->threads.reserve(num_threads_);
    for (size_t t = 0; t < num_threads_; ++t) {
      workspace->threads.emplace_back(network_);
    }
  }
  for (ThreadWorkspace& thread : workspace->threads) {
    if (thread.selections.size() < num_queries) {
      thread.selections.resize(num_queries);
    }
  }
  return workspace;
}

void WorkspaceList::GiveBack(std::unique_ptr<Workspace> workspace) {
  MutexLock lock(&mutex_);
  free_.push_back(std::move(workspace));
}

std::unique_ptr<Workspace> WorkspaceList::TakeAny() {
  MutexLock lock(&mutex_);
  if (free_.empty()) return nullptr;
  std::unique_ptr<Workspace> workspace = std::move(free_.back());
  free_.pop_back();
  return workspace;
}

}  // namespace neumf
