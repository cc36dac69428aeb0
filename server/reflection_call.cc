#include "server/reflection_call.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "server/grpc_status.h"
#include "server/unary_call.h"

namespace neumf {
namespace {

// Those of v1alpha are the same on the wire.
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

absl::Status AddFiles(absl::StatusOr<ReflectionIndex::Files> files,
                      ServerReflectionResponse* response) {
  NEUMF_RETURN_IF_ERROR(files.status());
  auto* const answer = response->mutable_file_descriptor_response();
  for (std::string& file : *files) {
    answer->add_file_descriptor_proto(std::move(file));
  }
  return absl::OkStatus();
}

absl::Status AddExtensionNumbers(const ReflectionIndex& index,
                                 const std::string& type,
                                 ServerReflectionResponse* response) {
  NEUMF_ASSIGN_OR_RETURN(const std::vector<int> numbers,
                         index.ExtensionNumbers(type));
  auto* const answer = response->mutable_all_extension_numbers_response();
  answer->set_base_type_name(type);
  answer->mutable_extension_number()->Add(numbers.begin(), numbers.end());
  return absl::OkStatus();
}

// An error is an answer, too.
absl::Status AddAnswer(const ReflectionIndex& index,
                       const ServerReflectionRequest& question,
                       ServerReflectionResponse* response) {
  switch (question.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      return AddFiles(index.FileByName(question.file_by_filename()), response);
    case ServerReflectionRequest::kFileContainingSymbol:
      return AddFiles(
          index.FileContainingSymbol(question.file_containing_symbol()),
          response);
    case ServerReflectionRequest::kFileContainingExtension: {
      const auto& extension = question.file_containing_extension();
      return AddFiles(
          index.FileContainingExtension(extension.containing_type(),
                                        extension.extension_number()),
          response);
    }
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      return AddExtensionNumbers(
          index, question.all_extension_numbers_of_type(), response);
    case ServerReflectionRequest::kListServices: {
      auto* const services = response->mutable_list_services_response();
      for (const std::string& name : index.services()) {
        services->add_service()->set_name(name);
      }
      return absl::OkStatus();
    }
    default:
      return absl::UnimplementedError("there is no such question");
  }
}

}  // namespace

ReflectionCall::ReflectionCall(const CallParts& parts, RpcMethod method,
                               grpc::CallbackServerContext* context,
                               const ReflectionIndex* index,
                               CallList<ReflectionCall>* list)
    : record_(parts, method, context),
      context_(context),
      index_(index),
      list_(list) {}

absl::Duration ReflectionCall::cut_time() const {
  const int64_t unread = unread_nanos_;
  return std::min(record_.cut_time(), unread == kNever
                                          ? absl::InfiniteDuration()
                                          : absl::Nanoseconds(unread));
}

absl::StatusOr<grpc::ByteBuffer> ReflectionCall::Answer() const {
  if (question_.Length() > kMaxQuestionBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the question has ", question_.Length(),
                     " bytes, more than ", kMaxQuestionBytes));
  }
  ServerReflectionResponse response;
  ServerReflectionRequest& question = *response.mutable_original_request();
  NEUMF_RETURN_IF_ERROR(ParseBuffer(question_, &question));
  response.set_valid_host(question.host());
  const absl::Status answered = AddAnswer(*index_, question, &response);
  if (!answered.ok()) {
    auto* const error = response.mutable_error_response();
    error->set_error_code(static_cast<int>(answered.code()));
    error->set_error_message(std::string(answered.message()));
  }
  return SerializeToBuffer(response);
}

void ReflectionCall::OnReadDone(bool ok) {
  if (!ok) return End(absl::OkStatus());  // there are no more questions
  record_.MessageReceived(question_.Length());
  absl::StatusOr<grpc::ByteBuffer> answer = Answer();
  question_.Clear();
  if (!answer.ok()) return End(answer.status());
  answer_ = *std::move(answer);
  {
    MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    writing_ = true;
  }
  unread_nanos_ = absl::ToInt64Nanoseconds(
      record_.parts().clock->MonotonicNow() + CallRecord::kPatience);
  StartWrite(&answer_);
}

// gRPC is not done with the call before this returns, so reading on is safe
// even if another thread finishes it meanwhile.
void ReflectionCall::OnWriteDone(bool ok) {
  unread_nanos_ = kNever;
  answer_.Clear();
  if (ok) record_.MessageSent();
  std::optional<absl::Status> end;
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    end = end_;
  }
  if (end.has_value()) {
    FinishNow(*end);
  } else if (ok) {
    StartRead(&question_);
  } else {
    End(record_.Cancelled());
  }
}

void ReflectionCall::End(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    end_ = status;
    record_.Ending();
    if (writing_) return;
  }
  FinishNow(status);
}

void ReflectionCall::FinishNow(const absl::Status& status) {
  AddRetryPushback(status, context_);
  record_.Finished(status.code());
  Finish(ToGrpcStatus(status));
}

void ReflectionCall::OnDone() {
  record_.Done();
  list_->Remove(this);
  record_.parts().registry->Unregister(this);
}

}  // namespace neumf
