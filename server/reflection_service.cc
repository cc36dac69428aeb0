#include "server/reflection_service.h"

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/errors.h"
#include "server/unary_call.h"

namespace neumf {

ReflectionService::ReflectionService(const CallParts& calls,
                                     const std::string& service)
    : calls_(calls),
      index_(
          {service, grpc::health::v1::Health::service_full_name(),
           grpc::reflection::v1::ServerReflection::service_full_name(),
           grpc::reflection::v1alpha::ServerReflection::service_full_name()}) {}

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
  streams_.Add(stream);
  stream->Begin();
  if (calls_.registry->draining()) stream->FinishWithError(Draining());
  return stream.get();
}

}  // namespace neumf
