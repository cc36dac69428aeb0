#include "server/reaper.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "base/thread_pool.h"

namespace neumf {

Reaper::Reaper() : thread_([this] { Run(); }) {}

Reaper::~Reaper() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.Signal();
  thread_.join();
}

std::shared_ptr<const Snapshot> Reaper::Adopt(
    std::unique_ptr<Snapshot> snapshot) {
  uint64_t number = 0;
  {
    MutexLock lock(&mutex_);
    number = ++last_number_;
  }
  std::shared_ptr<const Snapshot> adopted(
      snapshot.release(), [this, number](const Snapshot* dead) {
        Bury(number, std::unique_ptr<const Snapshot>(dead));
      });
  MutexLock lock(&mutex_);
  adopted_[number] = adopted;
  return adopted;
}

void Reaper::WaitUntilIdle() {
  MutexLock lock(&mutex_);
  while (IsBusy()) freed_.Wait(&mutex_);
}

bool Reaper::IsBusy() const {
  return std::any_of(adopted_.begin(), adopted_.end(), [](const auto& adopted) {
    return adopted.second.expired();
  });
}

void Reaper::Bury(uint64_t number, std::unique_ptr<const Snapshot> snapshot) {
  // Signals under the lock: after it the reaper may be gone.
  MutexLock lock(&mutex_);
  dead_[number] = std::move(snapshot);
  wake_.Signal();
}

void Reaper::Run() {
  SetThreadName("reaper");
  Dead dead;
  for (;;) {
    {
      MutexLock lock(&mutex_);
      for (const auto& freed : dead) adopted_.erase(freed.first);
      dead.clear();
      freed_.SignalAll();
      while (dead_.empty() && !stopping_) wake_.Wait(&mutex_);
      if (dead_.empty()) return;
      dead.swap(dead_);
    }
    Free(&dead);
  }
}

void Reaper::Free(Dead* dead) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<uint64_t> versions;
  for (auto& [number, snapshot] : *dead) {
    versions.push_back(snapshot->version);
    snapshot.reset();
  }
  // The tables are mapped and gone; ids and seen sets came from malloc, which
  // keeps what it is not told to give back.
  malloc_trim(0);
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - begin;
  for (const uint64_t version : versions) {
    LogEvent("checkpoint_freed")
        .WithNumber("version", version)
        .WithNumber("seconds", took.count());
  }
}

}  // namespace neumf
