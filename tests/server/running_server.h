#pragma once

// A Server inside the test's process, on free ports, over a folder of its own.
//
//   RunningServer server;
//   server.Publish(MakeTinyModel({}));
//   server.Start();
//   server.recommendations()->Recommend(...);

#include <memory>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/channel.h"
#include "neumf/v1/model_service.grpc.pb.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"
#include "server/server.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_model.h"

namespace neumf {

class RunningServer {
 public:
  RunningServer();
  ~RunningServer();

  // To be changed before Start().
  Server::Options options;

  // Returns the version.
  uint64_t Publish(const TinyModel& model);

  // Aborts when it does not start, or finds no checkpoint that it needs.
  void Start();
  // Returns when the connection that recommendations() and health() share is
  // there, so that short deadlines are those of the server. Aborts otherwise.
  void WaitForConnection();
  // Ends it. False when that took `drain_timeout`: calls did not end by
  // themselves.
  bool Drain();

  Server& server() { return *server_; }
  const TempDirectory& directory() const { return directory_; }

  // Of one connection that all share.
  v1::RecommendationService::Stub* recommendations() {
    return recommendations_.get();
  }
  v1::ModelService::Stub* models() { return models_.get(); }
  grpc::health::v1::Health::Stub* health() { return health_.get(); }
  grpc::health::v1::Health::Stub* admin_health() { return admin_health_.get(); }
  // A connection of its own to the data listener.
  std::shared_ptr<grpc::Channel> NewChannel() const;

 private:
  const TempDirectory directory_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> data_;
  std::unique_ptr<v1::RecommendationService::Stub> recommendations_;
  std::unique_ptr<v1::ModelService::Stub> models_;
  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
  std::unique_ptr<grpc::health::v1::Health::Stub> admin_health_;
};

// A context with a deadline far enough for every machine.
std::unique_ptr<grpc::ClientContext> PatientContext();

}  // namespace neumf
