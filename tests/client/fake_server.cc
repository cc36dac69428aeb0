#include "tests/client/fake_server.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace neumf {
namespace {

// From 1: what the client says, or else the place in the order of arrival.
size_t AttemptOf(const grpc::ServerContext& context, size_t num_arrived) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(FakeServer::kAttempt);
  if (found == metadata.end()) return num_arrived;
  const grpc::string_ref& text = found->second;
  size_t attempt = 0;
  NEUMF_CHECK(
      absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &attempt));
  NEUMF_CHECK(attempt > 0);
  return attempt;
}

}  // namespace

grpc::Status ErrorWithInfo(grpc::StatusCode code, const std::string& reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("neumf");
  google::rpc::Status details;
  details.set_code(code);
  details.add_details()->PackFrom(info);
  return {code, reason, details.SerializeAsString()};
}

FakeServer::FakeServer(Services services) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(static_cast<v1::ModelService::Service*>(this));
  if (services == Services::kAll) {
    builder.RegisterService(
        static_cast<v1::RecommendationService::Service*>(this));
    builder.RegisterService(
        static_cast<grpc::health::v1::Health::Service*>(this));
  }
  server_ = builder.BuildAndStart();
  NEUMF_CHECK(server_ != nullptr);
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeServer::~FakeServer() {
  {
    const MutexLock lock(&mutex_);
    ending_ = true;
  }
  ending_changed_.SignalAll();
  server_->Shutdown();
}

void FakeServer::ReplyWith(std::vector<Reply> replies) {
  const MutexLock lock(&mutex_);
  replies_ = std::move(replies);
}

void FakeServer::SetHealth(
    grpc::health::v1::HealthCheckResponse::ServingStatus status) {
  const MutexLock lock(&mutex_);
  health_ = status;
}

void FakeServer::SetVersions(const v1::ListModelVersionsResponse& versions) {
  const MutexLock lock(&mutex_);
  versions_ = versions;
}

std::vector<FakeServer::Call> FakeServer::calls() const {
  const MutexLock lock(&mutex_);
  return calls_;
}

int FakeServer::num_abandoned() const {
  const MutexLock lock(&mutex_);
  return num_abandoned_;
}

FakeServer::Reply FakeServer::NextReply(const v1::RecommendRequest& request,
                                        const grpc::ServerContext& context) {
  const MutexLock lock(&mutex_);
  calls_.push_back(
      {request, absl::Now(), absl::FromChrono(context.deadline())});
  if (replies_.empty()) {
    Reply reply;
    reply.response.add_items()->set_item_id(request.user_id());
    return reply;
  }
  const size_t attempt = AttemptOf(context, calls_.size());
  Reply reply = replies_[std::min(attempt, replies_.size()) - 1];
  while (Waits(reply) && !ending_ && !context.IsCancelled()) {
    // Nothing signals that a caller has left.
    ending_changed_.WaitFor(&mutex_, std::chrono::milliseconds(10));
  }
  if (reply.hang && !ending_) ++num_abandoned_;
  ++num_answered_;
  return reply;
}

grpc::Status FakeServer::Recommend(grpc::ServerContext* context,
                                   const v1::RecommendRequest* request,
                                   v1::RecommendResponse* response) {
  const Reply reply = NextReply(*request, *context);
  if (!reply.pushback.empty()) {
    context->AddTrailingMetadata("grpc-retry-pushback-ms", reply.pushback);
  }
  *response = reply.response;
  return reply.status;
}

grpc::Status FakeServer::BatchRecommend(
    grpc::ServerContext* context, const v1::BatchRecommendRequest* request,
    v1::BatchRecommendResponse* response) {
  const Reply reply = NextReply(request->requests(0), *context);
  *response->add_results()->mutable_response() = reply.response;
  return reply.status;
}

grpc::Status FakeServer::ListModelVersions(
    grpc::ServerContext* /*context*/,
    const v1::ListModelVersionsRequest* /*request*/,
    v1::ListModelVersionsResponse* response) {
  const MutexLock lock(&mutex_);
  *response = versions_;
  return grpc::Status::OK;
}

grpc::Status FakeServer::LoadModelVersion(
    grpc::ServerContext* /*context*/,
    const v1::LoadModelVersionRequest* request,
    v1::LoadModelVersionResponse* response) {
  if (request->version() == "missing") {
    return {grpc::StatusCode::NOT_FOUND, "there is no such version"};
  }
  response->mutable_version()->set_version(request->version());
  return grpc::Status::OK;
}

grpc::Status FakeServer::RollbackModelVersion(
    grpc::ServerContext* /*context*/,
    const v1::RollbackModelVersionRequest* /*request*/,
    v1::RollbackModelVersionResponse* response) {
  response->mutable_version()->set_version("6");
  response->set_unsaved_reason("serving.json could not be written");
  return grpc::Status::OK;
}

grpc::Status FakeServer::WatchModelVersions(
    grpc::ServerContext* context,
    const v1::WatchModelVersionsRequest* /*request*/,
    grpc::ServerWriter<v1::ModelVersion>* writer) {
  v1::ListModelVersionsResponse versions;
  {
    const MutexLock lock(&mutex_);
    versions = versions_;
  }
  for (const v1::ModelVersion& version : versions.versions()) {
    writer->Write(version);
  }
  if (versions.versions_size() > 0) {
    return {grpc::StatusCode::UNAVAILABLE, "the server goes"};
  }
  MutexLock lock(&mutex_);
  while (!ending_ && !context->IsCancelled()) {
    ending_changed_.WaitFor(&mutex_, std::chrono::milliseconds(10));
  }
  return grpc::Status::CANCELLED;
}

grpc::Status FakeServer::Check(
    grpc::ServerContext* /*context*/,
    const grpc::health::v1::HealthCheckRequest* request,
    grpc::health::v1::HealthCheckResponse* response) {
  if (!request->service().empty() &&
      request->service() != v1::RecommendationService::service_full_name()) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "unknown service");
  }
  const MutexLock lock(&mutex_);
  response->set_status(health_);
  return grpc::Status::OK;
}

grpc::Status FakeServer::Watch(
    grpc::ServerContext* context,
    const grpc::health::v1::HealthCheckRequest* /*request*/,
    grpc::ServerWriter<grpc::health::v1::HealthCheckResponse>* writer) {
  grpc::health::v1::HealthCheckResponse sent;
  const MutexLock lock(&mutex_);
  while (!ending_ && !context->IsCancelled()) {
    if (sent.status() != health_) {
      sent.set_status(health_);
      writer->Write(sent);
    }
    // Nothing signals that a watcher has left.
    ending_changed_.WaitFor(&mutex_, std::chrono::milliseconds(10));
  }
  return grpc::Status::OK;
}

}  // namespace neumf
