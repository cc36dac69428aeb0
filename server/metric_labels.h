#pragma once

// The values that the labels of the daemon's metrics have, in the order of the
// enums of server_metrics.h: an enum's value is the index of its label.
// Dashboards and alerts name them, so none is ever changed.

#include <array>

namespace neumf {

struct MethodLabels {
  const char* type;
  const char* service;
  const char* method;
};

// In the order of RpcMethod.
inline constexpr std::array<MethodLabels, 11> kMethodLabels = {{
    {"unary", "neumf.v1.RecommendationService", "Recommend"},
    {"unary", "neumf.v1.RecommendationService", "BatchRecommend"},
    {"unary", "neumf.v1.ModelService", "ListModelVersions"},
    {"unary", "neumf.v1.ModelService", "LoadModelVersion"},
    {"unary", "neumf.v1.ModelService", "RollbackModelVersion"},
    {"server_stream", "neumf.v1.ModelService", "WatchModelVersions"},
    {"unary", "grpc.health.v1.Health", "Check"},
    {"server_stream", "grpc.health.v1.Health", "Watch"},
    {"bidi_stream", "grpc.reflection.v1.ServerReflection",
     "ServerReflectionInfo"},
    {"bidi_stream", "grpc.reflection.v1alpha.ServerReflection",
     "ServerReflectionInfo"},
    {"unary", "unknown", "unknown"},
}};

// By number, spelled as in Go, which is what dashboards expect.
inline constexpr std::array<const char*, 17> kCodeLabels = {
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated"};

// In the order of Stage.
inline constexpr std::array<const char*, 5> kStageLabels = {
    "admission", "queue", "gather", "score", "encode"};
// In the order of ShedReason.
inline constexpr std::array<const char*, 6> kShedReasonLabels = {
    "queue_full", "wait_too_long", "overloaded",
    "draining",   "no_model",      "quota"};
// In the order of ConnectionRefusal.
inline constexpr std::array<const char*, 2> kConnectionRefusalLabels = {
    "total", "per_ip"};
// In the order of ReloadResult.
inline constexpr std::array<const char*, 11> kReloadResultLabels = {
    "ok",
    "corrupt",
    "incompatible",
    "probe_failed",
    "bad_signature",
    "gate_failed",
    "no_memory",
    "io_error",
    "device_error",
    "crashed_loading",
    "rolled_back"};
// In the order of TrialResult.
inline constexpr std::array<const char*, 3> kTrialResultLabels = {
    "promoted", "rolled_back", "ended"};
// In the order of ShadowResult.
inline constexpr std::array<const char*, 3> kShadowResultLabels = {
    "compared", "failed", "dropped"};
// Whose answer it is, by whether it is the candidate's.
inline constexpr std::array<const char*, 2> kAnsweredByLabels = {"served",
                                                                 "candidate"};
// In the order of ConfigFile.
inline constexpr std::array<const char*, 7> kConfigFileLabels = {
    "auth_tokens",    "tls", "quotas", "blocked_items", "blocked_users",
    "serving_policy", "gate"};
// In the order of LogResult.
inline constexpr std::array<const char*, 3> kLogResultLabels = {
    "written", "dropped", "failed"};
// In the order of Series::gpu_memory.
inline constexpr std::array<const char*, 3> kMemoryKindLabels = {"used", "free",
                                                                 "total"};

}  // namespace neumf
