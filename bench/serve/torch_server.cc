// RecommendationService as a careful team would write it around LibTorch: what
// neumf-server is compared with.
//
//   torch_server --checkpoint_dir=DIR --port_file=FILE [--workers=2]
//                [--threads=1] [--max_batch_users=32]
//
// gRPC's callback API, and workers that each score the calls which have come
// while all were busy, with the folded first layer, topk, and seen items left
// out. It does without what costs time and is not the comparison's: deadlines,
// cancellation, admission, metrics, reloading.

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"
#include "scoring/torch/torch_scorer.h"

ABSL_FLAG(std::string, checkpoint_dir, "", "Required. Where the model is.");
ABSL_FLAG(std::string, port_file, "", "Required. Gets grpc=ADDRESS.");
ABSL_FLAG(size_t, workers, 2, "Threads that each score batches of their own.");
ABSL_FLAG(int, threads, 1, "Threads of an operation of LibTorch.");
ABSL_FLAG(size_t, max_batch_users, 32, "Most users scored together.");

namespace neumf {
namespace {

// What is served; constant.
struct Served {
  ServingModel model;
  std::unique_ptr<Scorer> scorer;
};

absl::StatusOr<std::unique_ptr<Served>> Load() {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  NEUMF_ASSIGN_OR_RETURN(
      const std::vector<CheckpointFile> checkpoints,
      ListCheckpoints(*files, absl::GetFlag(FLAGS_checkpoint_dir)));
  if (checkpoints.empty()) return absl::NotFoundError("no checkpoint");
  NEUMF_ASSIGN_OR_RETURN(LoadedCheckpoint loaded,
                         LoadCheckpoint(*files, checkpoints.back().path));
  if (loaded.model.users.is_float16()) {
    return absl::UnimplementedError("users in float16");
  }
  TorchScorerOptions options;
  options.num_threads = absl::GetFlag(FLAGS_threads);
  NEUMF_ASSIGN_OR_RETURN(const auto builder,
                         MakeTorchScorerBuilder(loaded.model.shape,
                                                loaded.model.network, options));
  NEUMF_RETURN_IF_ERROR(StreamItemTables(
      loaded.items, [&](const ItemRows& rows) { return builder->Add(rows); }));
  auto served = std::make_unique<Served>();
  NEUMF_ASSIGN_OR_RETURN(served->scorer, builder->Build());
  served->model = std::move(loaded.model);
  return served;
}

struct Call {
  RankQuery query;
  v1::RecommendResponse* response = nullptr;
  grpc::ServerUnaryReactor* reactor = nullptr;
};

// Scores what waits, on threads of its own, until it goes.
class Batcher {
 public:
  explicit Batcher(const Served& served) : served_(served) {
    for (size_t i = 0; i < absl::GetFlag(FLAGS_workers); ++i) {
      workers_.emplace_back([this] { Run(); });
    }
  }

  ~Batcher() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void Submit(const Call& call) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      waiting_.push_back(call);
    }
    wake_.notify_one();
  }

 private:
  void Run() {
    std::vector<Call> batch;
    std::vector<RankQuery> queries;
    std::vector<Ranking> rankings(absl::GetFlag(FLAGS_max_batch_users));
    while (TakeBatch(&batch)) {
      queries.clear();
      for (const Call& call : batch) queries.push_back(call.query);
      const bool ok =
          served_.scorer
              ->Rank(queries, absl::MakeSpan(rankings).first(batch.size()))
              .ok();
      for (size_t i = 0; i < batch.size(); ++i) {
        if (ok) Fill(rankings[i], batch[i].response);
        batch[i].reactor->Finish(
            ok ? grpc::Status::OK
               : grpc::Status(grpc::StatusCode::INTERNAL, "scoring failed"));
      }
    }
  }

  // False when it is to stop.
  bool TakeBatch(std::vector<Call>* batch) {
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    const size_t count =
        std::min(waiting_.size(), absl::GetFlag(FLAGS_max_batch_users));
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
    batch->assign(waiting_.begin(), end);
    waiting_.erase(waiting_.begin(), end);
    return !stopping_;
  }

  void Fill(const Ranking& ranking, v1::RecommendResponse* response) const {
    for (const ScoredRow& row : ranking.items) {
      v1::ScoredItem* const item = response->add_items();
      const absl::string_view id = served_.model.item_ids.id(row.row);
      item->set_item_id(id.data(), id.size());
      item->set_score(row.score);
    }
    response->set_model_version("1");
    response->set_served_from(v1::SERVED_FROM_MODEL);
    response->set_candidate_count(static_cast<int32_t>(ranking.eligible_count));
  }

  const Served& served_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Call> waiting_;  // guarded by mutex_
  bool stopping_ = false;     // guarded by mutex_

  std::vector<std::thread> workers_;
};

class Service : public v1::RecommendationService::CallbackService {
 public:
  explicit Service(const Served& served) : served_(served), batcher_(served) {}

  grpc::ServerUnaryReactor* Recommend(
      grpc::CallbackServerContext* context, const v1::RecommendRequest* request,
      v1::RecommendResponse* response) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    const ServingModel& model = served_.model;
    const std::optional<uint32_t> row = model.user_ids.Find(request->user_id());
    if (!row.has_value()) {
      reactor->Finish({grpc::StatusCode::NOT_FOUND, "unknown user"});
      return reactor;
    }
    Call call;
    call.query.user_gmf = model.users.gmf.row(*row).data();
    call.query.user_tower = model.users.tower.row(*row).data();
    if (!model.seen.empty()) call.query.seen = model.seen.row(*row);
    call.query.k = static_cast<uint32_t>(request->k());
    call.response = response;
    call.reactor = reactor;
    batcher_.Submit(call);
    return reactor;
  }

 private:
  const Served& served_;
  Batcher batcher_;
};

int Main() {
  const auto served = Load();
  if (!served.ok()) {
    std::cerr << served.status().message() << std::endl;
    return 1;
  }
  Service service(**served);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  const std::string path = absl::GetFlag(FLAGS_port_file);
  // Whoever waits for the file finds all of it.
  std::ofstream(path + ".tmp") << "grpc=127.0.0.1:" << port << '\n';
  NEUMF_CHECK(std::rename((path + ".tmp").c_str(), path.c_str()) == 0);
  server->Wait();
  return 0;
}

}  // namespace
}  // namespace neumf

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("serves with LibTorch; see bench/serve/");
  absl::ParseCommandLine(argc, argv);
  return neumf::Main();
}
