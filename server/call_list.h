#pragma once

// The calls of one kind that are going on, so that something can be told to all
// of them. Any thread may call any method; nothing of a call happens under the
// lock.

#include <cstddef>
#include <limits>
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
    AddBelow(std::numeric_limits<size_t>::max(), std::move(call));
  }

  // False, and the call is not added, when there are `most` already.
  bool AddBelow(size_t most, std::shared_ptr<Call> call) {
    MutexLock lock(&mutex_);
    if (calls_.size() >= most) return false;
    Call* const key = call.get();
    calls_.emplace(key, std::move(call));
    return true;
  }

  // Does nothing for a call that is not there.
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
