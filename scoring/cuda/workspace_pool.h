#pragma once

// The workspaces of a scorer: as many calls work at the same time as there are
// workspaces, more wait.
//
// Thread-safe.

#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "scoring/cuda/workspace.h"

namespace neumf::cuda {

class WorkspacePool {
 public:
  // A workspace as long as it lives.
  class Lease {
   public:
    Lease(WorkspacePool& pool, std::unique_ptr<Workspace> workspace)
        : pool_(pool), workspace_(std::move(workspace)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool_.Add(std::move(workspace_)); }

    Workspace& operator*() const { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };

  void Add(std::unique_ptr<Workspace> workspace) {
    MutexLock lock(&mutex_);
    free_.push_back(std::move(workspace));
    given_back_.Signal();
  }

  // Waits for one to be free.
  Lease Take() {
    MutexLock lock(&mutex_);
    while (free_.empty()) given_back_.Wait(&mutex_);
    std::unique_ptr<Workspace> workspace = std::move(free_.back());
    free_.pop_back();
    return Lease(*this, std::move(workspace));
  }

 private:
  Mutex mutex_;
  CondVar given_back_;
  std::vector<std::unique_ptr<Workspace>> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf::cuda
