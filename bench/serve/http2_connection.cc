#include "bench/serve/http2_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/logging.h"

namespace neumf {
namespace {

// RFC 9113.
constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHeaderBytes = 9;
constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kResetStream = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;
constexpr uint8_t kGoAway = 7;
constexpr uint8_t kWindowUpdate = 8;
constexpr uint8_t kAck = 1;
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr uint8_t kPadded = 8;
constexpr uint32_t kFirstWindow = 65535;
constexpr uint32_t kLargestWindow = 0x7fffffff;
constexpr size_t kReadBytes = 1 << 16;
// Before each message of gRPC: a flag and the length.
constexpr size_t kMessagePrefixBytes = 5;

// Numbers on the wire are big-endian.
std::string Number(uint64_t value, size_t num_bytes) {
  std::string bytes;
  for (size_t i = num_bytes; i > 0; --i) {
    bytes += static_cast<char>(value >> (8 * (i - 1)));
  }
  return bytes;
}

uint32_t ToNumber(absl::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes) {
    value = value << 8 | static_cast<uint8_t>(byte);
  }
  return value;
}

// Fields of headers in HPACK (RFC 7541) that enter the server's table, where the
// newest is number 62. Some names have numbers from the start.
constexpr uint8_t kEnterTable = 0x40;
constexpr uint8_t kFromTable = 0x80;
constexpr uint8_t kNewest = 62;
constexpr uint8_t kAuthority = 1;
constexpr uint8_t kMethodPost = 3;
constexpr uint8_t kPath = 4;
constexpr uint8_t kSchemeHttp = 6;
constexpr uint8_t kContentType = 31;

std::string Text(absl::string_view text) {
  NEUMF_CHECK(text.size() < 127);  // a length above takes more than a byte
  return absl::StrCat(Number(text.size(), 1), text);
}

std::string Field(uint8_t name, absl::string_view value) {
  return absl::StrCat(Number(kEnterTable | name, 1), Text(value));
}

std::string Field(absl::string_view name, absl::string_view value) {
  return absl::StrCat(Number(kEnterTable, 1), Text(name), Text(value));
}

std::string FieldFromTable(uint8_t number) {
  return Number(kFromTable | number, 1);
}

std::string FirstHeaders(absl::string_view path, absl::string_view address,
                         absl::string_view timeout) {
  return absl::StrCat(
      FieldFromTable(kMethodPost), FieldFromTable(kSchemeHttp),
      Field(kPath, path), Field(kAuthority, address), Field("te", "trailers"),
      Field(kContentType, "application/grpc"), Field("grpc-timeout", timeout));
}

std::string LaterHeaders() {
  constexpr uint8_t kEntered = 5;
  std::string headers =
      absl::StrCat(FieldFromTable(kMethodPost), FieldFromTable(kSchemeHttp));
  for (uint8_t i = kEntered; i > 0; --i) {
    headers += FieldFromTable(kNewest + i - 1);
  }
  return headers;
}

int Connect(const std::string& address) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(address, ':');
  int port = 0;
  NEUMF_CHECK(absl::SimpleAtoi(parts.second, &port));
  sockaddr_in target = {};
  target.sin_family = AF_INET;
  target.sin_port = htons(static_cast<uint16_t>(port));
  NEUMF_CHECK(inet_pton(AF_INET, parts.first.c_str(), &target.sin_addr) == 1);
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  NEUMF_CHECK(descriptor >= 0);
  NEUMF_CHECK(connect(descriptor, reinterpret_cast<sockaddr*>(&target),
                      sizeof(target)) == 0);
  const int on = 1;
  NEUMF_CHECK(
      setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
  return descriptor;
}

}  // namespace

struct Http2Connection::Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  absl::string_view payload;
};

Http2Connection::Http2Connection(const std::string& address,
                                 absl::string_view path,
                                 absl::string_view timeout)
    : descriptor_(Connect(address)),
      first_headers_(FirstHeaders(path, address, timeout)),
      later_headers_(LaterHeaders()),
      send_window_(kFirstWindow),
      outgoing_(kPreface) {
  constexpr uint16_t kInitialWindowSize = 4;
  Append({kSettings, 0, 0,
          Number(kInitialWindowSize, 2) + Number(kLargestWindow, 4)});
  Append({kWindowUpdate, 0, 0, Number(kLargestWindow - kFirstWindow, 4)});
  Flush();
}

Http2Connection::~Http2Connection() { close(descriptor_); }

uint32_t Http2Connection::Start(absl::string_view message) {
  const uint32_t call = next_call_;
  next_call_ += 2;
  Append({kHeaders, kEndHeaders, call,
          call == 1 ? first_headers_ : later_headers_});
  const std::string data =
      absl::StrCat(Number(message.size(), kMessagePrefixBytes), message);
  Append({kData, kEndStream, call, data});
  // Servers open it again long before it is used up by requests this small.
  send_window_ -= static_cast<int64_t>(data.size());
  NEUMF_CHECK(send_window_ >= 0);
  running_.emplace(call, "");
  return call;
}

void Http2Connection::Flush() {
  absl::string_view rest = outgoing_;
  while (!rest.empty()) {
    const ssize_t sent =
        send(descriptor_, rest.data(), rest.size(), MSG_NOSIGNAL);
    NEUMF_CHECK(sent > 0);
    rest.remove_prefix(static_cast<size_t>(sent));
  }
  outgoing_.clear();
}

void Http2Connection::Receive(Done done) {
  const size_t had = incoming_.size();
  incoming_.resize(had + kReadBytes);
  const ssize_t received = recv(descriptor_, &incoming_[had], kReadBytes, 0);
  NEUMF_CHECK(received > 0);
  incoming_.resize(had + static_cast<size_t>(received));
  absl::string_view rest = incoming_;
  while (rest.size() >= kFrameHeaderBytes) {
    const size_t length = ToNumber(rest.substr(0, 3));
    if (rest.size() < kFrameHeaderBytes + length) break;
    TakeFrame(
        {static_cast<uint8_t>(rest[3]), static_cast<uint8_t>(rest[4]),
         ToNumber(rest.substr(5, 4)), rest.substr(kFrameHeaderBytes, length)},
        done);
    rest.remove_prefix(kFrameHeaderBytes + length);
  }
  incoming_.erase(0, incoming_.size() - rest.size());
}

void Http2Connection::TakeFrame(const Frame& frame, Done done) {
  switch (frame.type) {
    case kData:
      TakeData(frame);
      break;
    case kHeaders:
      // What they say is not looked at: where there is an error, servers send
      // no message.
      if ((frame.flags & kEndStream) != 0) {
        End(frame.stream, true, done);
      }
      break;
    case kResetStream:
      // After the end of a call it says that nothing more is wanted from us.
      if (running_.count(frame.stream) > 0) End(frame.stream, false, done);
      break;
    case kSettings:
      if ((frame.flags & kAck) == 0) Append({kSettings, kAck, 0, ""});
      break;
    case kPing:
      if ((frame.flags & kAck) == 0) Append({kPing, kAck, 0, frame.payload});
      break;
    case kWindowUpdate:
      if (frame.stream == 0) send_window_ += ToNumber(frame.payload);
      break;
    default:
      NEUMF_CHECK(frame.type != kGoAway);
  }
}

void Http2Connection::TakeData(const Frame& frame) {
  NEUMF_CHECK((frame.flags & kPadded) == 0);
  running_[frame.stream].append(frame.payload.data(), frame.payload.size());
  received_bytes_ += static_cast<int64_t>(frame.payload.size());
  constexpr int64_t kEnough = kLargestWindow / 2;
  if (received_bytes_ < kEnough) return;
  Append(
      {kWindowUpdate, 0, 0, Number(static_cast<uint64_t>(received_bytes_), 4)});
  received_bytes_ = 0;
}

void Http2Connection::End(uint32_t call, bool answered, Done done) {
  const auto found = running_.find(call);
  NEUMF_CHECK(found != running_.end());
  const std::string answer = std::move(found->second);
  running_.erase(found);
  if (!answered || answer.size() < kMessagePrefixBytes) {
    return done(call, nullptr);
  }
  const absl::string_view message =
      absl::string_view(answer).substr(kMessagePrefixBytes);
  done(call, &message);
}

void Http2Connection::Append(const Frame& frame) {
  absl::StrAppend(&outgoing_, Number(frame.payload.size(), 3),
                  Number(frame.type, 1), Number(frame.flags, 1),
                  Number(frame.stream, 4), frame.payload);
}

}  // namespace neumf
