#include "server/sender.h"

#include <algorithm>
#include <optional>

#include "server/grpc_server.h"

namespace neumf {
namespace {

// Far more than flow control lets a peer send to begin with; and what each
// WINDOW_UPDATE of ours may allow beyond that, the rest of a message. Headers
// need none.
constexpr uint64_t kMostUnanswered = 4 << 20;
constexpr uint64_t kUpdateBytes = 13;
constexpr uint64_t kMessageBytes = 1 << 20;
// A client makes room for answers with WINDOW_UPDATEs, about so many bytes of
// answers for each byte of them.
constexpr uint64_t kAnswerBytesPerUpdateByte = 256;

}  // namespace

Sender::Sender(int fd, const std::string& name, ResetGuard* guard)
    : fd_(fd),
      guard_(guard),
      peer_(guard->Connected(name)),
      excess_(guard->HandledBytes(peer_)) {}

Sender::~Sender() { guard_->Disconnected(peer_); }

void Sender::Look() {
  // Before the kernel's: what is handled meanwhile is held until the next look.
  const int64_t handled = guard_->HandledBytes(peer_);
  const std::optional<TcpProgress> progress = ReadTcpProgress(fd_);
  if (!progress.has_value()) return;
  // What lies unread may be there because we stood still.
  const uint64_t unread = NumUnread(fd_);
  is_monologue_ = false;
  if (progress->sent_bytes != last_answer_.sent_bytes) {
    last_answer_ = *progress;
  } else {
    const uint64_t num_messages = std::min<uint64_t>(
        progress->sent_bytes / kUpdateBytes, kMaxStreamsPerConnection);
    is_monologue_ = progress->received_bytes > last_answer_.received_bytes +
                                                   unread + kMostUnanswered +
                                                   num_messages * kMessageBytes;
  }
  const auto read = static_cast<int64_t>(progress->received_bytes - unread);
  const auto updates =
      static_cast<int64_t>(progress->sent_bytes / kAnswerBytesPerUpdateByte);
  const int64_t held = read - updates - handled + excess_;
  excess_ -= std::min<int64_t>(held, 0);
  held_bytes_ = std::max<int64_t>(held, 0);
}

}  // namespace neumf
