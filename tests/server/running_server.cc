#include "tests/server/running_server.h"

#include <chrono>
#include <utility>

#include "base/logging.h"
#include "checkpoint/checkpoint_writer.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "tests/support/eventually.h"

namespace neumf {
namespace {

// Channels of one process to one address would share their connection.
std::shared_ptr<grpc::Channel> Connect(const ListenAddress& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(
      address.ToString(), grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

RunningServer::RunningServer() : files_(MakePosixFileSystem()) {
  options.checkpoint_dir = directory_.path();
  options.listen = "127.0.0.1:0";
  options.metrics_listen = "127.0.0.1:0";
  options.admin_listen = "127.0.0.1:0";
  options.device.device = DeviceFlag::kCpu;
  options.poll_interval = absl::Milliseconds(20);
  options.drain_timeout = absl::Seconds(10);
}

RunningServer::~RunningServer() = default;

uint64_t RunningServer::Publish(const TinyModel& model) {
  const auto published = PublishCheckpoint(*files_, directory_.path(),
                                           model.model, model.items, {});
  NEUMF_CHECK(published.ok());
  return published->version;
}

void RunningServer::Start() {
  auto server = Server::Start(options);
  NEUMF_CHECK(server.ok());
  server_ = *std::move(server);
  NEUMF_CHECK(server_->LoadFirst().ok());
  NEUMF_CHECK(server_->AnnounceReady().ok());
  data_ = NewChannel();
  const auto admin = Connect(server_->admin_address());
  recommendations_ = v1::RecommendationService::NewStub(data_);
  health_ = grpc::health::v1::Health::NewStub(data_);
  models_ = v1::ModelService::NewStub(admin);
  admin_health_ = grpc::health::v1::Health::NewStub(admin);
}

void RunningServer::WaitForConnection() {
  NEUMF_CHECK(
      data_->WaitForConnected(std::chrono::system_clock::now() + kFarTooLong));
}

bool RunningServer::Drain() {
  const std::unique_ptr<Clock> clock = MakeRealClock();
  const absl::Duration begin = clock->MonotonicNow();
  server_->Drain();
  return clock->MonotonicNow() - begin < options.drain_timeout;
}

std::shared_ptr<grpc::Channel> RunningServer::NewChannel() const {
  return Connect(server_->grpc_address());
}

std::unique_ptr<grpc::ClientContext> PatientContext() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::seconds(30));
  return context;
}

}  // namespace neumf
