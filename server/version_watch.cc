#include "server/version_watch.h"

#include <iterator>
#include <utility>

#include "server/unary_call.h"

namespace neumf {

VersionWatch::VersionWatch(const CallParts& parts,
                           grpc::CallbackServerContext* context,
                           const VersionHistory* history,
                           CallList<VersionWatch>* list)
    : StreamCall(parts, RpcMethod::kWatchModelVersions, context),
      history_(history),
      list_(list) {}

void VersionWatch::Begin() {
  {
    MutexLock lock(&changes_mutex_);
    begun_ = true;
  }
  Advance();
}

std::optional<grpc::ByteBuffer> VersionWatch::NextMessage() {
  MutexLock lock(&changes_mutex_);
  if (!begun_) return std::nullopt;
  if (changes_.empty()) {
    VersionHistory::Changes news = history_->ChangesAfter(seen_until_);
    seen_until_ = news.until;
    changes_.assign(std::make_move_iterator(news.versions.begin()),
                    std::make_move_iterator(news.versions.end()));
  }
  if (changes_.empty()) return std::nullopt;
  const v1::ModelVersion next = std::move(changes_.front());
  changes_.pop_front();
  return SerializeToBuffer(next);
}

void VersionWatch::Ended() { list_->Remove(this); }

}  // namespace neumf
