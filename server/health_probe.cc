#include "server/health_probe.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/logging.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

using std::chrono::steady_clock;

// What stands for "the server hung up" on the way through the functions below.
absl::Status HungUp() { return absl::AbortedError("the server hung up"); }

// A connection whose every step ends in time, with HungUp(), or cancelled.
class Connection {
 public:
  Connection(int cancelled, steady_clock::time_point deadline)
      : cancelled_(cancelled), deadline_(deadline) {}

  absl::Status Open(const ListenAddress& address) {
    NEUMF_ASSIGN_OR_RETURN(socket_, StartConnecting(address));
    NEUMF_RETURN_IF_ERROR(Await(POLLOUT));
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return ErrnoStatus(error, "connect");
    stream_.reset(BIO_new_socket(socket_.get(), BIO_NOCLOSE));
    return absl::OkStatus();
  }

  // Trusts whatever certificate there is: nothing secret is said.
  absl::Status StartTls() {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    constexpr absl::string_view kAlpn = "\x02h2";  // gRPC insists on it
    NEUMF_CHECK(SSL_CTX_set_alpn_protos(
                    context_.get(),
                    reinterpret_cast<const unsigned char*>(kAlpn.data()),
                    kAlpn.size()) == 0);
    BIO* const tls = BIO_new_ssl(context_.get(), /*client=*/1);
    NEUMF_CHECK(tls != nullptr);
    stream_.reset(BIO_push(tls, stream_.release()));
    return Repeat([&] {
             return static_cast<int>(BIO_do_handshake(stream_.get()));
           })
        .status();
  }

  absl::Status Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      NEUMF_ASSIGN_OR_RETURN(const int sent, Repeat([&] {
                               return BIO_write(stream_.get(), bytes.data(),
                                                static_cast<int>(bytes.size()));
                             }));
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Receive(size_t size) {
    std::string bytes(size, '\0');
    for (size_t begin = 0; begin < size;) {
      NEUMF_ASSIGN_OR_RETURN(const int received, Repeat([&] {
                               return BIO_read(stream_.get(), &bytes[begin],
                                               static_cast<int>(size - begin));
                             }));
      begin += static_cast<size_t>(received);
    }
    return bytes;
  }

 private:
  struct Free {
    void operator()(BIO* stream) const { BIO_free_all(stream); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };

  // Until it does something; its result, which is positive.
  template <typename Step>
  absl::StatusOr<int> Repeat(Step step) {
    for (;;) {
      const int result = step();
      if (result > 0) return result;
      if (!BIO_should_retry(stream_.get())) return HungUp();
      NEUMF_RETURN_IF_ERROR(
          Await(BIO_should_write(stream_.get()) ? POLLOUT : POLLIN));
    }
  }

  absl::Status Await(short events) const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline_ - steady_clock::now());
    std::array<pollfd, 2> sources = {
        {{cancelled_, POLLIN, 0}, {socket_.get(), events, 0}}};
    const int ready =
        poll(sources.data(), sources.size(),
             static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (sources[0].revents != 0) return absl::CancelledError();
    if (ready > 0) return absl::OkStatus();
    return absl::DeadlineExceededError("no answer");
  }

  const int cancelled_;
  const steady_clock::time_point deadline_;
  UniqueFd socket_;
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<BIO, Free> stream_;
};

// HTTP/2, as far as one call needs it.
constexpr uint32_t kStream = 1;
constexpr size_t kFrameHeaderBytes = 9;
enum FrameType : char { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4 };
enum FrameFlag : char { kEndStream = 1, kEndHeaders = 4 };

std::string BigEndian(uint32_t value, int num_bytes) {
  std::string bytes;
  for (int shift = 8 * (num_bytes - 1); shift >= 0; shift -= 8) {
    bytes += static_cast<char>(value >> shift);
  }
  return bytes;
}

std::string Frame(FrameType type, int flags, uint32_t stream,
                  absl::string_view payload) {
  return absl::StrCat(
      BigEndian(static_cast<uint32_t>(payload.size()), 3), std::string(1, type),
      std::string(1, static_cast<char>(flags)), BigEndian(stream, 4), payload);
}

// HPACK without its tables. REQUIRES: both are shorter than 127 bytes.
std::string Header(absl::string_view name, absl::string_view value) {
  const auto text = [](absl::string_view bytes) {
    return absl::StrCat(BigEndian(static_cast<uint32_t>(bytes.size()), 1),
                        bytes);
  };
  return absl::StrCat(std::string(1, '\0'), text(name), text(value));
}

std::string HealthCheck(bool encrypted) {
  const std::string headers = absl::StrCat(
      Header(":method", "POST"),
      Header(":scheme", encrypted ? "https" : "http"),
      Header(":path", "/grpc.health.v1.Health/Check"),
      Header(":authority", "localhost"),
      Header("content-type", "application/grpc"), Header("te", "trailers"));
  // Not compressed, and empty: the service called "".
  const std::string message(5, '\0');
  return absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                      Frame(kSettings, 0, 0, ""),
                      Frame(kHeaders, kEndHeaders, kStream, headers),
                      Frame(kData, kEndStream, kStream, message));
}

// The headers of the answer; to reset the stream is one, too.
absl::Status AwaitAnswer(Connection* connection) {
  for (;;) {
    NEUMF_ASSIGN_OR_RETURN(const std::string header,
                           connection->Receive(kFrameHeaderBytes));
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(header[i]); };
    const bool is_answer = byte(3) == kHeaders || byte(3) == kReset;
    if (is_answer && absl::EndsWith(header, BigEndian(kStream, 4))) {
      return absl::OkStatus();
    }
    const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    NEUMF_RETURN_IF_ERROR(connection->Receive(size).status());
  }
}

absl::Status Ask(const HealthProbe::Target& target, Connection* connection) {
  NEUMF_RETURN_IF_ERROR(connection->Open(target.address));
  if (target.encrypted) NEUMF_RETURN_IF_ERROR(connection->StartTls());
  if (target.wants_certificate) return absl::OkStatus();
  NEUMF_RETURN_IF_ERROR(connection->Send(HealthCheck(target.encrypted)));
  return AwaitAnswer(connection);
}

// BIOs write to sockets that may be closed.
void BlockSigpipe() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  NEUMF_CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
}

}  // namespace

HealthProbe::HealthProbe(const Target& target, absl::Duration timeout)
    : target_(target), timeout_(timeout), cancelled_(eventfd(0, EFD_CLOEXEC)) {
  NEUMF_CHECK(cancelled_.valid());
}

absl::Status HealthProbe::Run() const {
  BlockSigpipe();
  Connection connection(
      cancelled_.get(),
      steady_clock::now() + absl::ToChronoMilliseconds(timeout_));
  const absl::Status answered = Ask(target_, &connection);
  return absl::IsAborted(answered) ? absl::OkStatus() : answered;
}

void HealthProbe::Cancel() {
  const uint64_t one = 1;
  NEUMF_CHECK(write(cancelled_.get(), &one, sizeof(one)) == sizeof(one));
}

}  // namespace neumf
