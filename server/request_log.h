#pragma once

// Writes some of the recommendation calls to a file, to be looked at and to be
// run again (`neumfctl replay`): a LoggedCall a line, as request_log.proto says.
//
// Ids of users are not written unless somebody asks for it, but pseudonyms under
// a salt (base/pseudonyms.h). The salt comes from a file; without one it is
// random, and goes with the process.
//
// CONTRACT
// 1. No call waits for the file. Its thread takes lines from a queue of bounded
//    size; what does not fit is dropped and counted.
// 2. A file that cannot be written, or a call that is no JSON, costs its lines
//    and nothing else: they are counted, the log of events has a line about it,
//    once a minute at most, and the next line is tried again.
// 3. Which calls are taken is a matter of their numbers alone: the same share of
//    any stretch of calls, without a period that a caller could be in step with.
//
//   RequestLog log(options, files, clock, metrics);
//   NEUMF_RETURN_IF_ERROR(log.Start());
//   ... for each call: if (log.Samples()) { ... log.Add(std::move(logged)); }

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/log_limiter.h"
#include "base/mutex.h"
#include "base/pseudonyms.h"
#include "neumf/v1/request_log.pb.h"
#include "server/log_file.h"
#include "server/server_metrics.h"

namespace neumf {

class RequestLog {
 public:
  // What may wait for the thread.
  static constexpr size_t kMaxQueuedCalls = 4096;
  static constexpr size_t kMaxQueuedBytes = 8 << 20;

  struct Options {
    // Empty: no log.
    std::string path;
    // The share of the calls that are taken, 0 to 1. Default: 0.01.
    double sample = 0.01;
    // Write ids as they are.
    bool plain_users = false;
    // Holds the salt; empty: a random one.
    std::string salt_file;
  };

  // The pointers must outlive this.
  RequestLog(Options options, FileSystem* files, const Clock* clock,
             ServerMetrics* metrics);
  // Stop()s.
  ~RequestLog();

  // Reads the salt and starts the thread, unless there is no log. The errors of
  // the salt's file, and INVALID_ARGUMENT for what is in it.
  absl::Status Start();

  // Whether the next call is one to Add(). Any thread, as for the next.
  bool Samples();
  void Add(std::unique_ptr<v1::LoggedCall> call);

  // Writes what waits; what comes later is dropped. Idempotent.
  void Stop();

 private:
  void Run();
  void Write(v1::LoggedCall* call);

  const Options options_;
  FileSystem* const files_;
  const Clock* const clock_;
  ServerMetrics* const metrics_;
  std::optional<Pseudonyms> pseudonyms_;  // after Start(), unless plain

  std::atomic<uint64_t> num_calls_{0};

  LogFile file_;  // the thread's, as is the next
  LogLimiter failures_;

  Mutex mutex_;
  CondVar wake_;
  std::vector<std::unique_ptr<v1::LoggedCall>> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace neumf
