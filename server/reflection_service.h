#pragma once

// grpc.reflection, v1 and v1alpha, for one gRPC server.
//
// gRPC's own is a synchronous service: each of its streams takes a thread, no
// ContextAllocator hears of its calls, and so neither guards nor metrics do. So
// we serve our own. Like health it asks nobody who they are.

#include <cstddef>
#include <string>

#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "grpcpp/server_builder.h"
#include "server/call_list.h"
#include "server/call_record.h"
#include "server/reflection_call.h"
#include "server/reflection_index.h"

namespace neumf {

class ReflectionService {
 public:
  // How many may be open; one more is UNAVAILABLE. Each takes some 10 KB with
  // an answer that its client leaves unread, which no limit of gRPC counts, and
  // there may be hundreds on each of thousands of connections. Honest clients
  // have one each, for a moment.
  static constexpr size_t kMaxStreams = 1000;

  // Lists health, itself and `service`, which the server has beside them.
  ReflectionService(const CallParts& calls, const std::string& service);

  // Must outlive the server.
  void Register(grpc::ServerBuilder* builder);

  // Ends all streams with UNAVAILABLE, so that they do not hold up the end of
  // the server. Any thread.
  void EndStreams();

 private:
  using Stream = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

  // Of the protocol; both have the same messages.
  template <typename Api, RpcMethod kMethod>
  class Version
      : public Api::template WithRawCallbackMethod_ServerReflectionInfo<
            typename Api::Service> {
   public:
    explicit Version(ReflectionService* owner) : owner_(owner) {}

    Stream* ServerReflectionInfo(
        grpc::CallbackServerContext* context) override {
      return owner_->Begin(kMethod, context);
    }

   private:
    ReflectionService* const owner_;
  };

  Stream* Begin(RpcMethod method, grpc::CallbackServerContext* context);

  const CallParts calls_;
  const ReflectionIndex index_;
  CallList<ReflectionCall> streams_;
  Version<grpc::reflection::v1::ServerReflection, RpcMethod::kReflection> v1_{
      this};
  Version<grpc::reflection::v1alpha::ServerReflection,
          RpcMethod::kReflectionAlpha>
      v1alpha_{this};
};

}  // namespace neumf
