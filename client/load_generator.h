#pragma once

// Sends recommendation calls to a server at a given rate, whatever the server
// does with them (an open loop).
//
//   LoadGenerator::Options options;
//   options.target = "127.0.0.1:50051";
//   options.user_ids = {"1", "2", "3"};
//   NEUMF_ASSIGN_OR_RETURN(auto generator, LoadGenerator::Create(options));
//   LoadResult result = generator->Run(/*rate=*/500);
//
// open_loop.h says what threads that takes, and how good it is at it.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/arrival_schedule.h"
#include "client/load_result.h"
#include "client/open_loop.h"

namespace neumf {

class LoadGenerator {
 public:
  // The server and the connections to it, and what to ask there.
  struct Options : OpenLoop::Options {
    // Whom to ask for, each call drawing anew; none may be longer than a server
    // takes. Must not be empty.
    std::vector<std::string> user_ids;
    // Items a user; 0 is the server's default. Default: 10.
    int k = 10;
    // Users a call: 0 calls Recommend, more BatchRecommend. Default: 0.
    int batch_size = 0;
    // How long calls are counted, after a warm-up whose calls are not.
    // Defaults: 10 s, 1 s.
    absl::Duration duration = absl::Seconds(10);
    absl::Duration warmup = absl::Seconds(1);
    ArrivalSchedule::Kind arrivals = ArrivalSchedule::Kind::kPoisson;
    uint64_t seed = 1;
  };

  // Connects. INVALID_ARGUMENT for options out of range, UNAVAILABLE when a
  // connection is not there in time.
  static absl::StatusOr<std::unique_ptr<LoadGenerator>> Create(Options options);

  // Offers `rate` calls a second and returns when the last one has ended: after
  // the warm-up, the duration and at most the deadline. Calls that were due in
  // the warm-up are left out. One run at a time. REQUIRES: rate > 0.
  LoadResult Run(double rate);

 private:
  LoadGenerator(Options options, std::unique_ptr<OpenLoop> loop);
  grpc::ByteBuffer MakeRequest(uint64_t call_number) const;

  const Options options_;
  const std::unique_ptr<OpenLoop> loop_;
};

}  // namespace neumf
