#pragma once

// A neumf server in the process of the test, on a port of its own, that says
// what the test tells it to say.

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "neumf/v1/model_service.grpc.pb.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"

namespace neumf {

// What a neumf-server would end a call with: `reason` stands in its ErrorInfo.
grpc::Status ErrorWithInfo(grpc::StatusCode code, const std::string& reason);

class FakeServer final : public v1::RecommendationService::Service,
                         public v1::ModelService::Service,
                         public grpc::health::v1::Health::Service {
 public:
  // What one call of Recommend or BatchRecommend gets.
  struct Reply {
    grpc::Status status;
    std::string pushback;  // of grpc-retry-pushback-ms; empty: none
    v1::RecommendResponse response;
    bool hang = false;  // no answer before the caller leaves or the server ends
    // No answer before so many calls have come, and so many were answered.
    size_t after_calls = 0;
    size_t after_answers = 0;
  };

  // One that has all services, or, as neumf-server's admin listener,
  // ModelService alone.
  enum class Services { kAll, kAdmin };
  explicit FakeServer(Services services = Services::kAll);
  ~FakeServer() override;

  // "127.0.0.1:port".
  const std::string& address() const { return address_; }

  // Metadata that says which call of its client a call is, from 1.
  static constexpr char kAttempt[] = "attempt";

  // Replies come in this order, the last one again and again: by kAttempt to
  // calls that have it, to others as they arrive. Without any, the answer is
  // one item, named after the user.
  void ReplyWith(std::vector<Reply> replies);
  void SetHealth(grpc::health::v1::HealthCheckResponse::ServingStatus status);
  void SetVersions(const v1::ListModelVersionsResponse& versions);

  // A call of Recommend or BatchRecommend, as it arrived.
  struct Call {
    v1::RecommendRequest request;  // the first one of a batch
    absl::Time arrival;
    absl::Time deadline;
  };
  std::vector<Call> calls() const;
  // Calls whose callers left while they hung.
  int num_abandoned() const;

  grpc::Status Recommend(grpc::ServerContext* context,
                         const v1::RecommendRequest* request,
                         v1::RecommendResponse* response) override;
  grpc::Status BatchRecommend(grpc::ServerContext* context,
                              const v1::BatchRecommendRequest* request,
                              v1::BatchRecommendResponse* response) override;
  grpc::Status ListModelVersions(
      grpc::ServerContext* context, const v1::ListModelVersionsRequest* request,
      v1::ListModelVersionsResponse* response) override;
  // Serves that version, unless it is "missing".
  grpc::Status LoadModelVersion(
      grpc::ServerContext* context, const v1::LoadModelVersionRequest* request,
      v1::LoadModelVersionResponse* response) override;
  // Serves version 6, and could not write that down.
  grpc::Status RollbackModelVersion(
      grpc::ServerContext* context,
      const v1::RollbackModelVersionRequest* request,
      v1::RollbackModelVersionResponse* response) override;
  // The versions, and then the end; without any, nothing until the caller
  // leaves.
  grpc::Status WatchModelVersions(
      grpc::ServerContext* context,
      const v1::WatchModelVersionsRequest* request,
      grpc::ServerWriter<v1::ModelVersion>* writer) override;
  grpc::Status Check(grpc::ServerContext* context,
                     const grpc::health::v1::HealthCheckRequest* request,
                     grpc::health::v1::HealthCheckResponse* response) override;
  // The health now, and again whenever it changes.
  grpc::Status Watch(grpc::ServerContext* context,
                     const grpc::health::v1::HealthCheckRequest* request,
                     grpc::ServerWriter<grpc::health::v1::HealthCheckResponse>*
                         writer) override;

 private:
  bool Waits(const Reply& reply) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return reply.hang || calls_.size() < reply.after_calls ||
           num_answered_ < reply.after_answers;
  }
  Reply NextReply(const v1::RecommendRequest& request,
                  const grpc::ServerContext& context);

  std::string address_;
  mutable Mutex mutex_;
  CondVar ending_changed_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Reply> replies_ ABSL_GUARDED_BY(mutex_);
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
  size_t num_answered_ ABSL_GUARDED_BY(mutex_) = 0;
  int num_abandoned_ ABSL_GUARDED_BY(mutex_) = 0;
  v1::ListModelVersionsResponse versions_ ABSL_GUARDED_BY(mutex_);
  grpc::health::v1::HealthCheckResponse::ServingStatus health_
      ABSL_GUARDED_BY(mutex_) = grpc::health::v1::HealthCheckResponse::SERVING;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace neumf
