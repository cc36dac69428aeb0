#pragma once

// The calls of one kind that are going on, so that something can be told to all
// of them. Any thread may call any method; nothing of a call happens under the
// lock.

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace neumf {

template <typename Call>
class CallList {
 public:
  void Add(std::shared_ptr<Call> call) {
    MutexLock lock(&mutex_);
    Call* const key = call.get();
    calls_.emplace(key, std::move(call));
  }

  void Remove(Call* call) {
    MutexLock lock(&mutex_);
    calls_.erase(call);
  }

  std::vector<std::shared_ptr<Call>> All() const {
    std::vector<std::shared_ptr<Call>> calls;
    MutexLock lock(&mutex_);
    for (const auto& entry : calls_) calls.push_back(entry.second);
    return calls;
  }

 private:
  mutable Mutex mutex_;
  std::map<Call*, std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
