#include "server/reflection_service.h"

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/errors.h"
#include "server/unary_call.h"

namespace neumf {
namespace {

// The name of the service in the file that declares `Message`. The linker
// leaves out the descriptors of a file of which only the stubs are used.
template <typename Message>
std::string ServiceBeside() {
  return Message::descriptor()->file()->service(0)->full_name();
}

absl::Status TooManyStreams() {
  return Unavailable("TOO_MANY_STREAMS",
                     "too many streams of reflection are open",
                     absl::Seconds(1));
}

}  // namespace

ReflectionService::ReflectionService(const CallParts& calls,
                                     const std::string& service)
    : calls_(calls),
      index_({service, ServiceBeside<grpc::health::v1::HealthCheckRequest>(),
              ServiceBeside<grpc::reflection::v1::ServerReflectionRequest>(),
              ServiceBeside<
                  grpc::reflection::v1alpha::ServerReflectionRequest>()}) {}

void ReflectionService::Register(grpc::ServerBuilder* builder) {
  builder->RegisterService(&v1_);
  builder->RegisterService(&v1alpha_);
}

void ReflectionService::EndStreams() {
  for (const auto& stream : streams_.All()) {
    stream->FinishWithError(Draining());
  }
}

ReflectionService::Stream* ReflectionService::Begin(
    RpcMethod method, grpc::CallbackServerContext* context) {
  const auto stream =
      StartCall<ReflectionCall>(calls_, method, context, &index_, &streams_);
  if (!streams_.AddBelow(kMaxStreams, stream)) {
    stream->FinishWithError(TooManyStreams());
    return stream.get();
  }
  stream->Begin();
  if (calls_.registry->draining()) stream->FinishWithError(Draining());
  return stream.get();
}

}  // namespace neumf
