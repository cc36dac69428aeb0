#include "server/reaper.h"

#include <malloc.h>

#include <chrono>
#include <utility>

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
  return std::shared_ptr<const Snapshot>(
      snapshot.release(), [this](const Snapshot* dead) {
        Bury(std::unique_ptr<const Snapshot>(dead));
      });
}

void Reaper::WaitUntilIdle() {
  MutexLock lock(&mutex_);
  while (busy_ || !dead_.empty()) idle_.Wait(&mutex_);
}

void Reaper::Bury(std::unique_ptr<const Snapshot> snapshot) {
  // Signals under the lock: after it the reaper may be gone.
  MutexLock lock(&mutex_);
  dead_.push_back(std::move(snapshot));
  wake_.Signal();
}

void Reaper::Run() {
  SetThreadName("reaper");
  for (;;) {
    std::vector<std::unique_ptr<const Snapshot>> dead;
    {
      MutexLock lock(&mutex_);
      busy_ = false;
      if (dead_.empty()) idle_.SignalAll();
      while (dead_.empty() && !stopping_) wake_.Wait(&mutex_);
      if (dead_.empty()) return;
      dead.swap(dead_);
      busy_ = true;
    }
    Free(std::move(dead));
  }
}

void Reaper::Free(std::vector<std::unique_ptr<const Snapshot>> dead) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<uint64_t> versions;
  for (auto& snapshot : dead) {
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
