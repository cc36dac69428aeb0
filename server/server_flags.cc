#include "server/server_flags.h"

#include <algorithm>
#include <cstdint>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "checkpoint/checkpoint_signature.h"
#include "server/flag_table.h"

namespace neumf {
namespace {

constexpr char kUsage[] =
    "neumf-server --checkpoint_dir DIR [flags]\n"
    "Recommends items over gRPC from the newest checkpoint in DIR, and takes "
    "new\n"
    "ones while it serves.\n";
// The largest k whose answer stays below the 4 MiB that clients accept.
constexpr int32_t kLargestMaxK = 10'000;
constexpr absl::Duration kLongest = absl::Hours(24);

constexpr int kLargestCudaDevice = 1023;

// What is not simply a field of the options.
struct Choices {
  std::string checkpoint_public_key;
  std::string device = "auto";
  std::string on_device_error = "recover";
  int cuda_device = 0;
  size_t threads = 0;
  std::string reload_mode = "overlap";
  bool help = false;
  bool version = false;
};

void AddConnectionTimes(ConnectionTimes* times, FlagTable* flags) {
  constexpr absl::Duration kShortest = absl::Milliseconds(10);
  flags->Add("handshake_timeout", &times->handshake, kShortest, kLongest,
             "What a client has from connecting to its first words, TLS\n"
             "included.");
  flags->Add("max_connection_idle", &times->idle, kShortest, kLongest,
             "After so long without a call a connection ends.");
  flags->Add("max_connection_age", &times->age, kShortest, kLongest,
             "After so long, give or take a tenth, a connection takes no more\n"
             "calls: clients connect again, and meet new servers.");
  flags->Add("max_connection_age_grace", &times->age_grace, kShortest, kLongest,
             "What its calls have to end then, those included that have not\n"
             "arrived whole.");
}

void AddListening(Server::Options* o, FlagTable* flags) {
  flags->Group("Listening (ADDRESS is HOST:PORT, [IPV6]:PORT or unix:PATH)");
  flags->Add("listen", &o->listen,
             "ADDRESS of the recommendation service. Port 0 takes a free one.\n"
             "A socket that systemd passes as grpc takes its place.");
  flags->Add("metrics_listen", &o->metrics_listen,
             "HOST:PORT or [IPV6]:PORT of /metrics for Prometheus.");
  flags->Add("admin_listen", &o->admin_listen,
             "ADDRESS of the model service. A socket that systemd passes as\n"
             "admin takes its place.");
  flags->Add("allow_insecure_listen", &o->allow_insecure_listen,
             "Listen where other machines can connect, although nothing is\n"
             "encrypted there.");
  flags->Add("port_file", &o->port_file,
             "File to write when ready: grpc=ADDRESS, metrics=ADDRESS and\n"
             "admin=ADDRESS, a line each.");
  flags->Add("max_connections", &o->max_connections, size_t{0}, size_t{100'000},
             "Open connections of the recommendation service; more are closed\n"
             "at once. 0: what the limit of descriptors allows, at most 4096.");
  flags->Add(
      "self_probe_interval", &o->self_probe_interval, absl::Milliseconds(10),
      kLongest,
      "Time between two checks whether this server still accepts\n"
      "connections and scores. After three failures neumf_live is 0 and\n"
      "systemd's watchdog, if there is one, is not fed any more.");
  flags->Add(
      "max_connections_per_ip", &o->max_connections_per_ip, size_t{0},
      size_t{100'000},
      "Open connections of one address, or one IPv6 network of 64 bits.\n"
      "0: as many as they like, as behind a load balancer.");
  AddConnectionTimes(&o->connection_times, flags);
  flags->Add(
      "request_memory_mb", &o->request_memory_mb, uint64_t{0},
      uint64_t{1'000'000},
      "Megabytes for requests that have not arrived whole, or wait for their\n"
      "handlers. Above five eighths of it the TCP connections that hold most\n"
      "are cut. 0: a quarter of the memory that there is, at most 512.");
  flags->Add("reflection", &o->reflection,
             "Tell clients about services and messages (gRPC reflection).");
}

void AddIdentity(Server::Options* o, FlagTable* flags) {
  flags->Group(
      "Who may connect and call (files are read again when they "
      "change)");
  flags->Add("tls_cert", &o->tls.cert,
             "PEM file of the certificate, and of those between it and its\n"
             "CA. With it both gRPC listeners speak TLS, unix sockets aside.");
  flags->Add("tls_key", &o->tls.key, "PEM file of its private key.");
  flags->Add("tls_client_ca", &o->tls.client_ca,
             "PEM file of CAs: clients have to show a certificate of theirs.");
  flags->Add(
      "auth_tokens_file", &o->auth_tokens_file,
      "File of callers, a line each: sha256:HEX or san:NAME, a name and\n"
      "rights (recommend,recommend.seen,models.read,models.write,\n"
      "metrics.read). Everybody else may only ask for health, and for\n"
      "reflection where it is on. Without it everybody may do everything.");
  flags->Add("metrics_auth", &o->metrics_auth,
             "Ask for basic authentication at /metrics: the name of a caller\n"
             "of that file who has the right metrics.read, and a token.");
  flags->Add(
      "metrics_tls", &o->metrics_tls,
      "Serve /metrics over TLS, with --tls_cert and --tls_key. Clients show\n"
      "no certificate there: see --metrics_auth.");
  flags->Add("quota_file", &o->quota_file,
             "File of what callers may ask for, a line each: a name or *,\n"
             "users a second, users at once. Without it they have no quotas.");
  flags->Add("allow_insecure_tokens", &o->allow_insecure_tokens,
             "Take tokens in plain text from other machines, too.");
}

void AddModel(Server::Options* o, Choices* choices, FlagTable* flags) {
  flags->Group("Checkpoints and scoring");
  flags->Add("checkpoint_dir", &o->checkpoint_dir,
             "Required. Directory of <version>.safetensors; the largest valid\n"
             "version is served, or what serving.json there says.");
  flags->Add("checkpoint_public_key", &choices->checkpoint_public_key,
             "PEM file of ed25519 public keys. Only versions that one of them\n"
             "signed are loaded. Without it nobody needs to sign.");
  flags->Add(
      "blocked_items_file", &o->blocked.items,
      "File of ids of items, one a line, that must not be in answers; in\n"
      "force within a second of its rename.");
  flags->Add("blocked_users_file", &o->blocked.users,
             "The same of users, who are answered as if nobody knew them.");
  flags->Add("poll_interval", &o->poll_interval, absl::Milliseconds(10),
             kLongest, "Time between two looks for new versions.");
  flags->Add("keep_versions", &o->keep_versions, size_t{1}, size_t{10},
             "Versions in memory: the served one, and those before it, kept\n"
             "warm for a rollback unless their memory is needed.");
  flags->Add("reload_jitter", &o->reload_jitter, absl::ZeroDuration(), kLongest,
             "A new version is loaded after a random time of at most so long,\n"
             "so that the servers on one directory do not all load at once.");
  flags->Add(
      "state_dir", &o->state_dir,
      "Directory of this server alone, where it remembers which version\n"
      "served well, and which one it ended on while loading. Without it\n"
      "a restart knows nothing of either.");
  flags->Add(
      "reload_io_mbps", &o->loader.io_mbps, uint64_t{0}, uint64_t{1'000'000},
      "Megabytes a second that a new version is read with at most while\n"
      "another one is served. Less spares the disk, and makes reloads\n"
      "longer. 0: no limit.");
  flags->Add(
      "reload_mode", &choices->reload_mode,
      "What happens to a new version that memory has no room for beside\n"
      "the served one: overlap refuses it; unload_first loads it all the\n"
      "same, and NOTHING IS SERVED meanwhile. Not with --gate_file and\n"
      "trials, which need both versions.");
  flags->Add("gate_file", &o->gate.file,
             "File of a user's id, a tab and an item's id a line, which no\n"
             "version has learned from: a new version is refused when it\n"
             "foresees them worse than the served one. Loading it by name\n"
             "overrules that.");
  flags->Add("gate_metric", &o->gate.metric,
             "hit@K or ndcg@K, a mean over the users of that file.");
  flags->Add("gate_min_share", &o->gate.min_share, 0.0, 10.0,
             "Of the served version's value, what a new one has to reach.");
  flags->Add("gate_min_users", &o->gate.min_users, size_t{1}, size_t{1} << 32,
             "A new version passes where fewer users can be compared.");
  flags->Add("wait_for_checkpoint", &o->wait_for_checkpoint,
             "Start without a servable checkpoint and wait for one.");
  flags->Add(
      "threads", &choices->threads, size_t{0}, size_t{1024},
      "Threads that score on the CPU, and that load the first checkpoint;\n"
      "later ones are loaded by a quarter of them. 0: one for each core.");
}

void AddTrial(VersionTrial::Options* trial, FlagTable* flags) {
  flags->Group("Trials of new versions (beside the one that is served)");
  flags->Add("shadow_share", &trial->shadow_share, 0.0, 1.0,
             "The share of the users, 0 to 1, whose requests a new version\n"
             "scores too, after the answer; metrics say how far they agree.");
  flags->Add(
      "shadow_duration", &trial->shadow_duration, absl::ZeroDuration(),
      kLongest,
      "For how long, at least. After ten times as long (10 minutes at\n"
      "least) a new version that there was no time to score is refused.");
  flags->Add("shadow_min_overlap", &trial->min_overlap, 0.0, 1.0,
             "The least share of the items of an answer, on average, that\n"
             "both have; below it the new version is rolled back.");
  flags->Add("canary_share", &trial->canary_share, 0.0, 1.0,
             "The share of the users, below 1, whom a new version answers\n"
             "after that, before it serves all.");
  flags->Add("canary_duration", &trial->canary_duration, absl::ZeroDuration(),
             kLongest, "For how long, at least.");
  flags->Add("canary_max_errors", &trial->max_errors, 0.0, 1.0,
             "By how much the share of its failures may exceed the served\n"
             "version's, and what share it may fail to score before.");
  flags->Add("canary_max_latency", &trial->max_latency_ratio, 1.0, 1000.0,
             "How many times as long its answers may take, by their p95.");
  flags->Add("trial_min_requests", &trial->min_requests, uint64_t{1},
             uint64_t{1'000'000'000},
             "Requests that each judgement is based on, at least.");
}

void AddDevice(Choices* choices, FlagTable* flags) {
  flags->Group("The GPU");
  flags->Add(
      "device", &choices->device,
      "Where to score. auto: on the GPU where there is one and the model\n"
      "fits it, else on the CPU; the log says which, and why. cuda: on\n"
      "the GPU; without one the server does not start, and a checkpoint\n"
      "that does not fit is refused. cpu: on the CPU.");
  flags->Add("cuda_device", &choices->cuda_device, 0, kLargestCudaDevice,
             "Which GPU, as CUDA counts them.");
  flags->Add(
      "on_device_error", &choices->on_device_error,
      "What follows an error of the GPU. recover: it is reset and the\n"
      "model loaded again; when that fails for half a minute, the server\n"
      "ends with exit code 3. cpu: the model is loaded again for the\n"
      "CPU, which scores from then on.");
}

void AddRequests(Server::Options* o, FlagTable* flags) {
  flags->Group("Requests");
  flags->Add("default_k", &o->limits.default_k, 1, kLargestMaxK,
             "Items in an answer to a request with k = 0.");
  flags->Add("max_k", &o->limits.max_k, 1, kLargestMaxK,
             "Most items that a request may ask for.");
  flags->Add("default_deadline", &o->limits.default_deadline,
             absl::Milliseconds(1), kLongest,
             "What a Recommend has that comes without a deadline.");
  flags->Add("default_batch_deadline", &o->limits.default_batch_deadline,
             absl::Milliseconds(1), kLongest, "The same of a BatchRecommend.");
  flags->Add("max_batch_users", &o->batcher.load.max_batch_users, size_t{0},
             size_t{4096},
             "Users scored with one pass over the catalog. More raise the\n"
             "throughput, and the time that a call waits for its neighbours.\n"
             "0: what a CPU scores in 20 ms, as measured; 256 on a GPU.");
  flags->Add(
      "max_queue_users", &o->batcher.load.max_queue_users, size_t{0},
      size_t{1'000'000},
      "Users that may wait, and 8 times as many of BatchRecommend. More\n"
      "ride out longer bursts, with late answers instead of quick\n"
      "refusals. 0: what is scored in 500 ms, as measured, 512 to\n"
      "16384.");
  flags->Add("max_queue_delay", &o->batcher.max_queue_delay,
             absl::ZeroDuration(), absl::Seconds(10),
             "How long an idle scorer waits for a batch to fill up.");
}

void AddLogs(Server::Options* o, FlagTable* flags) {
  flags->Group("Logs about calls");
  flags->Add("slow_call", &o->slow_call, absl::ZeroDuration(), kLongest,
             "Calls that take so long are events of the log, rarely. 0: none.");
  flags->Add(
      "request_log", &o->request_log.path,
      "File that some calls are written to, one JSON object a line, for\n"
      "neumfctl replay. A file that is renamed is made anew.");
  flags->Add("request_log_sample", &o->request_log.sample, 0.0, 1.0,
             "The share of the calls, 0 to 1, that are.");
  flags->Add("request_log_salt_file", &o->request_log.salt_file,
             "File of a secret, at least 16 bytes, under which ids of users\n"
             "are hashed there. Without it nobody can tell who they are.");
  flags->Add("request_log_plain_users", &o->request_log.plain_users,
             "Write ids of users as they are.");
}

void AddRest(Server::Options* o, Choices* choices, FlagTable* flags) {
  flags->Group("Stopping (SIGTERM and SIGINT; a second one exits at once)");
  flags->Add("drain_delay", &o->drain_delay, absl::ZeroDuration(), kLongest,
             "Serve on for so long after health says NOT_SERVING.");
  flags->Add("drain_timeout", &o->drain_timeout, absl::ZeroDuration(), kLongest,
             "What running calls have to end, before they are cancelled.");
  flags->Group(
      "About (and --flagfile FILE reads flags from a file, one a line)");
  flags->Add("help", &choices->help, "Print this.");
  flags->Add("version", &choices->version, "Print the version.");
}

absl::Status ApplyDevice(const Choices& choices, DeviceOptions* options) {
  if (choices.device == "auto") {
    options->device = DeviceFlag::kAuto;
  } else if (choices.device == "cpu") {
    options->device = DeviceFlag::kCpu;
  } else if (choices.device == "cuda") {
    options->device = DeviceFlag::kCuda;
  } else {
    return absl::InvalidArgumentError("--device: must be auto, cpu or cuda");
  }
  if (choices.on_device_error == "recover") {
    options->on_device_error = OnDeviceError::kRecover;
  } else if (choices.on_device_error == "cpu") {
    options->on_device_error = OnDeviceError::kCpu;
  } else {
    return absl::InvalidArgumentError(
        "--on_device_error: must be recover or cpu");
  }
  options->gpu = MakeCudaGpu(choices.cuda_device);
  return absl::OkStatus();
}

absl::Status ApplyPublicKey(const std::string& path, FileSystem& files,
                            CheckpointLoader::Options* loader) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::vector<Ed25519PublicKey>> keys =
      ReadPublicKeys(files, path);
  if (!keys.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--checkpoint_public_key: ", keys.status().message()));
  }
  loader->public_keys = *std::move(keys);
  return absl::OkStatus();
}

absl::Status Apply(const Choices& choices, FileSystem& files,
                   Server::Options* options) {
  if (options->checkpoint_dir.empty()) {
    return absl::InvalidArgumentError(
        "--checkpoint_dir: is required; --help explains all flags");
  }
  NEUMF_RETURN_IF_ERROR(ApplyDevice(choices, &options->device));
  if (choices.reload_mode != "overlap" &&
      choices.reload_mode != "unload_first") {
    return absl::InvalidArgumentError(
        "--reload_mode: must be overlap or unload_first");
  }
  options->may_unload = choices.reload_mode == "unload_first";
  if (options->may_unload &&
      (!options->gate.file.empty() || options->trial.enabled())) {
    return absl::InvalidArgumentError(
        "--reload_mode: unload_first does not go with --gate_file, "
        "--shadow_share and --canary_share: they compare a new version with "
        "the served one, which is gone by then");
  }
  NEUMF_RETURN_IF_ERROR(
      ApplyPublicKey(choices.checkpoint_public_key, files, &options->loader));
  if (options->limits.default_k > options->limits.max_k) {
    return absl::InvalidArgumentError("--default_k: must not exceed --max_k");
  }
  if (options->trial.canary_share >= 1) {
    return absl::InvalidArgumentError(
        "--canary_share: must be below 1: the served version has to answer "
        "some users, to be compared with");
  }
  options->loader.scorer.num_threads =
      choices.threads > 0
          ? choices.threads
          : std::max<size_t>(1, std::thread::hardware_concurrency());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Command> ParseCommand(absl::Span<const std::string> args,
                                     FileSystem& files) {
  Command command;
  Choices choices;
  FlagTable flags;
  AddModel(&command.options, &choices, &flags);
  AddTrial(&command.options.trial, &flags);
  AddDevice(&choices, &flags);
  AddListening(&command.options, &flags);
  AddIdentity(&command.options, &flags);
  AddRequests(&command.options, &flags);
  AddLogs(&command.options, &flags);
  AddRest(&command.options, &choices, &flags);
  const std::string help = absl::StrCat(kUsage, flags.Help());
  NEUMF_RETURN_IF_ERROR(flags.Parse(args, files));
  if (choices.help) {
    command.text = help;
  } else if (choices.version) {
    command.text = "neumf-server " NEUMF_VERSION "\n";
  } else {
    NEUMF_RETURN_IF_ERROR(Apply(choices, files, &command.options));
  }
  return command;
}

}  // namespace neumf
