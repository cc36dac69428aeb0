#include "trainer/distributed/torch_collective.h"

#if defined(USE_C10D_GLOO) && defined(NEUMF_WITH_GLOO)
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#include <ATen/ATen.h>
#include <c10/util/Logging.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <string>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

std::chrono::milliseconds Millis(absl::Duration duration) {
  return std::chrono::milliseconds(absl::ToInt64Milliseconds(duration));
}

std::string NameOf(const ProcessPlace& place) {
  return absl::StrCat("process ", place.rank, " of ", place.size);
}

// LibTorch puts a place in its source before what it says, and a stack of calls
// after it.
std::string ReasonOf(const std::exception& error) {
  std::string text = error.what();
  text = text.substr(0, text.find('\n'));
  const size_t end = text.find("] ");
  if (absl::StartsWith(text, "[") && end != std::string::npos) {
    text = text.substr(end + 2);
  }
  const size_t call = text.find(". Original exception");
  return text.substr(0, call);
}

absl::Status Fenced(const std::string& context,
                    absl::FunctionRef<void()> body) {
  try {
    body();
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat(context, ": ", ReasonOf(error)));
  }
}

template <class Element>
at::Tensor TensorOver(absl::Span<Element> values, at::ScalarType type) {
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())},
                       at::TensorOptions().dtype(type));
}

// Group is ProcessGroupGloo or ProcessGroupNCCL, which have a common base that
// is not the same in all versions of LibTorch.
template <class Group>
class TorchCollective : public Collective {
 public:
  TorchCollective(ProcessPlace place, c10::intrusive_ptr<c10d::Store> store,
                  c10::intrusive_ptr<Group> group, at::Device device)
      : place_(std::move(place)),
        store_(std::move(store)),
        group_(std::move(group)),
        device_(device) {}

  uint32_t rank() const override { return place_.rank; }
  uint32_t size() const override { return place_.size; }

  absl::Status Sum(absl::Span<float> values) override {
    if (IsPair()) {
      return WithTheOther(
          values, at::kFloat, &floats_,
          [](float mine, float theirs) { return mine + theirs; });
    }
    return Reduce(TensorOver(values, at::kFloat), c10d::ReduceOp::SUM);
  }

  absl::Status Or(absl::Span<uint8_t> bits) override {
    if (IsPair()) {
      return WithTheOther(bits, at::kByte, &bytes_,
                          [](uint8_t mine, uint8_t theirs) {
                            return static_cast<uint8_t>(mine | theirs);
                          });
    }
    if (device_.is_cpu()) {
      return Reduce(TensorOver(bits, at::kByte), c10d::ReduceOp::BOR);
    }
    // NCCL has no bitwise operations.
    return OrByMaximum(bits);
  }

  absl::Status Broadcast(absl::Span<uint8_t> bytes) override {
    return Together([&] {
      at::Tensor mine = TensorOver(bytes, at::kByte);
      std::vector<at::Tensor> tensors = {mine.to(device_)};
      group_->broadcast(tensors)->wait();
      if (!device_.is_cpu()) mine.copy_(tensors[0]);
    });
  }

 private:
  bool IsPair() const { return place_.size == 2 && device_.is_cpu(); }

  // Of two processes each sends the other what it has: a quarter of the
  // messages of Gloo's ring. `combine` must not care which is whose.
  template <class Element, class Combine>
  absl::Status WithTheOther(absl::Span<Element> values, at::ScalarType type,
                            std::vector<Element>* received,
                            const Combine& combine) {
    const int other = 1 - static_cast<int>(place_.rank);
    received->resize(values.size());
    NEUMF_RETURN_IF_ERROR(Together([&] {
      std::vector<at::Tensor> to = {TensorOver(values, type)};
      std::vector<at::Tensor> from = {
          TensorOver(absl::MakeSpan(*received), type)};
      const auto receiving = group_->recv(from, other, /*tag=*/0);
      const auto sending = group_->send(to, other, /*tag=*/0);
      receiving->wait();
      sending->wait();
    }));
    Element* const mine = values.data();
    const Element* const theirs = received->data();
    for (size_t i = 0; i < values.size(); ++i) {
      mine[i] = combine(mine[i], theirs[i]);
    }
    return absl::OkStatus();
  }

  absl::Status Reduce(at::Tensor mine, c10d::ReduceOp::RedOpType operation) {
    return Together([&] {
      c10d::AllreduceOptions options;
      options.reduceOp = operation;
      std::vector<at::Tensor> tensors = {mine.to(device_)};
      group_->allreduce(tensors, options)->wait();
      if (!device_.is_cpu()) mine.copy_(tensors[0]);
    });
  }

  absl::Status OrByMaximum(absl::Span<uint8_t> bits) {
    constexpr size_t kByteBits = 8;
    std::vector<uint8_t> bytes(bits.size() * kByteBits);
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = bits[i / kByteBits] >> (i % kByteBits) & 1;
    }
    NEUMF_RETURN_IF_ERROR(Reduce(TensorOver(absl::MakeSpan(bytes), at::kByte),
                                 c10d::ReduceOp::MAX));
    for (size_t i = 0; i < bytes.size(); ++i) {
      bits[i / kByteBits] |= static_cast<uint8_t>(bytes[i] << (i % kByteBits));
    }
    return absl::OkStatus();
  }

  absl::Status Together(absl::FunctionRef<void()> operation) {
    return Fenced(absl::StrCat(NameOf(place_), " has lost another process"),
                  operation);
  }

  const ProcessPlace place_;
  const c10::intrusive_ptr<c10d::Store> store_;
  const c10::intrusive_ptr<Group> group_;
  const at::Device device_;
  std::vector<float> floats_;
  std::vector<uint8_t> bytes_;
};

std::string JoinedKey(uint32_t rank) { return absl::StrCat("joined/", rank); }

// The store that all processes have come to.
absl::StatusOr<c10::intrusive_ptr<c10d::Store>> Meet(
    const ProcessPlace& place) {
  const std::string where = absl::StrCat(place.host, ":", place.port);
  c10d::TCPStoreOptions options;
  options.port = place.port;
  options.isServer = place.rank == 0 && !place.launcher_listens;
  options.waitWorkers = false;
  options.timeout = Millis(place.join_timeout);
  c10::intrusive_ptr<c10d::Store> store;
  NEUMF_RETURN_IF_ERROR(Fenced(
      absl::StrCat(
          NameOf(place),
          options.isServer ? " cannot listen at " : " finds nobody at ", where),
      [&] {
        store = c10::make_intrusive<c10d::PrefixStore>(
            absl::StrCat("neumf/", place.attempt),
            c10::make_intrusive<c10d::TCPStore>(place.host, options));
      }));
  for (uint32_t rank = 0; rank < place.size; ++rank) {
    NEUMF_RETURN_IF_ERROR(
        Fenced(absl::StrCat(NameOf(place), " has waited ",
                            absl::FormatDuration(place.join_timeout), " at ",
                            where, " for process ", rank),
               [&] {
                 if (rank == 0) {
                   store->set(JoinedKey(place.rank), std::vector<uint8_t>{1});
                 }
                 store->wait({JoinedKey(rank)}, Millis(place.join_timeout));
               }));
  }
  return store;
}

// Errors are told once, by whoever gets the status: LibTorch also logs some.
void SilenceLog() {
#ifdef C10_USE_GLOG
  FLAGS_minloglevel = google::GLOG_FATAL;
#endif
}

bool WantsNccl() {
  const char* const value = std::getenv("NEUMF_NCCL");
  return value != nullptr && absl::string_view(value) == "1";
}

#if defined(USE_C10D_GLOO) && defined(NEUMF_WITH_GLOO)
absl::StatusOr<std::unique_ptr<Collective>> JoinByGloo(
    const ProcessPlace& place, c10::intrusive_ptr<c10d::Store> store) {
  using Group = c10d::ProcessGroupGloo;
  c10::intrusive_ptr<Group> group;
  NEUMF_RETURN_IF_ERROR(
      Fenced(absl::StrCat(NameOf(place), " cannot reach the others"), [&] {
        auto options = Group::Options::create(Millis(place.exchange_timeout));
        const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
        options->devices.push_back(
            interface != nullptr ? Group::createDeviceForInterface(interface)
                                 : Group::createDefaultDevice());
        options->threads = 1;  // one operation at a time
        group =
            c10::make_intrusive<Group>(store, static_cast<int>(place.rank),
                                       static_cast<int>(place.size), options);
      }));
  return std::make_unique<TorchCollective<Group>>(
      place, std::move(store), std::move(group), at::Device(at::kCPU));
}
#endif

#ifdef USE_C10D_NCCL
absl::StatusOr<std::unique_ptr<Collective>> JoinByNccl(
    const ProcessPlace& place, c10::intrusive_ptr<c10d::Store> store) {
  using Group = c10d::ProcessGroupNCCL;
  const char* const local_rank = std::getenv("LOCAL_RANK");
  const int gpu = local_rank != nullptr ? std::atoi(local_rank) : 0;
  c10::intrusive_ptr<Group> group;
  NEUMF_RETURN_IF_ERROR(
      Fenced(absl::StrCat(NameOf(place), " cannot reach the others"), [&] {
        auto options = Group::Options::create();
        options->timeout = Millis(place.exchange_timeout);
        group =
            c10::make_intrusive<Group>(store, static_cast<int>(place.rank),
                                       static_cast<int>(place.size), options);
      }));
  return std::make_unique<TorchCollective<Group>>(
      place, std::move(store), std::move(group),
      at::Device(at::kCUDA, static_cast<at::DeviceIndex>(gpu)));
}
#endif

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> JoinProcesses(
    const ProcessPlace& place) {
  SilenceLog();
  // A process that is gone is an error of the next operation, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  NEUMF_ASSIGN_OR_RETURN(c10::intrusive_ptr<c10d::Store> store, Meet(place));
  if (WantsNccl()) {
#ifdef USE_C10D_NCCL
    return JoinByNccl(place, std::move(store));
#else
    return absl::UnimplementedError(
        "NEUMF_NCCL=1, but this build's LibTorch has no NCCL");
#endif
  }
#if defined(USE_C10D_GLOO) && defined(NEUMF_WITH_GLOO)
  return JoinByGloo(place, std::move(store));
#else
  return absl::UnimplementedError(
      "a distributed run needs a LibTorch with Gloo, which this build's lacks");
#endif
}

}  // namespace neumf
