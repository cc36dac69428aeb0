#include "server/unary_call.h"

#include "grpcpp/support/proto_buffer_writer.h"
#include "grpcpp/support/slice.h"
#include "server/admission.h"
#include "server/grpc_status.h"

namespace neumf {
namespace {

// Of one slice; larger answers are a chain of them.
constexpr int kSliceBytes = 1 << 20;

}  // namespace

absl::Status ParseBuffer(const grpc::ByteBuffer& buffer,
                         google::protobuf::Message* message) {
  grpc::Slice slice;
  if (!buffer.TrySingleSlice(&slice).ok() &&
      !buffer.DumpToSingleSlice(&slice).ok()) {
    return absl::InvalidArgumentError("the call has no request message");
  }
  return ParseRequest(
      absl::string_view(reinterpret_cast<const char*>(slice.begin()),
                        slice.size()),
      message);
}

grpc::ByteBuffer SerializeToBuffer(const google::protobuf::Message& message) {
  grpc::ByteBuffer buffer;
  grpc::ProtoBufferWriter writer(&buffer, kSliceBytes,
                                 static_cast<int>(message.ByteSizeLong()));
  message.SerializeToZeroCopyStream(&writer);
  return buffer;
}

UnaryCall::UnaryCall(const CallParts& parts, RpcMethod method,
                     grpc::CallbackServerContext* context,
                     grpc::ByteBuffer* response)
    : record_(parts, method, context), context_(context), response_(response) {}

bool UnaryCall::FinishWithBytes(grpc::ByteBuffer bytes) {
  if (!Claim()) return false;
  response_->Swap(&bytes);
  record_.MessageSent();
  record_.Finished(absl::StatusCode::kOk);
  Finish(grpc::Status::OK);
  return true;
}

void UnaryCall::FinishWithError(const absl::Status& status) {
  if (!Claim()) return;
  AddRetryPushback(status, context_);
  record_.Finished(status.code());
  Abandoned();
  Finish(ToGrpcStatus(status));
}

void UnaryCall::OnCancel() { FinishWithError(record_.Cancelled()); }

void UnaryCall::OnDone() {
  record_.Done();
  record_.parts().registry->Unregister(this);
}

}  // namespace neumf
