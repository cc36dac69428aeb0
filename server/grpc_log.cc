#include "server/grpc_log.h"

#include <chrono>
#include <cstddef>
#include <string>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/logging.h"
#include "base/mutex.h"
#include "grpc/support/log.h"

namespace neumf {
namespace {

constexpr std::chrono::minutes kInterval(1);
constexpr size_t kMostBytes = 200;

// Which places were heard of lately; there are as many as gRPC has log calls.
class Limiter {
 public:
  bool Allows(const std::string& place) {
    const auto now = std::chrono::steady_clock::now();
    MutexLock lock(&mutex_);
    const auto [entry, is_new] = last_.try_emplace(place, now);
    if (!is_new && now - entry->second < kInterval) return false;
    entry->second = now;
    return true;
  }

 private:
  Mutex mutex_;
  std::unordered_map<std::string, std::chrono::steady_clock::time_point> last_
      ABSL_GUARDED_BY(mutex_);
};

void LogLine(gpr_log_func_args* line) {
  // gRPC's threads may log until the very end of the process.
  static auto* const limiter = new Limiter;
  absl::string_view file = line->file;
  file.remove_prefix(file.rfind('/') + 1);
  const std::string place = absl::StrCat(file, ":", line->line);
  if (!limiter->Allows(place)) return;
  LogEvent("grpc_error")
      .With("place", place)
      .With("text", absl::string_view(line->message).substr(0, kMostBytes));
}

}  // namespace

void LogGrpcErrorsAsEvents() { gpr_set_log_function(&LogLine); }

}  // namespace neumf
