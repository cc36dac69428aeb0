#pragma once

// What every call of a neumf client has in common.

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/channel_security.h"
#include "grpcpp/grpcpp.h"

namespace neumf {

// A channel, plain text by default, that notices a dead peer within about a
// minute and a half and asks no proxy. It connects when the first call is made.
// Any thread may use it.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& target, grpc::ChannelArguments arguments,
    const ChannelSecurity& security = {});

// The same code and message; the google.rpc details become payloads under their
// type URLs ("type.googleapis.com/google.rpc.BadRequest").
absl::Status FromGrpcStatus(const grpc::Status& status);

// Gives the call at most `timeout` from now, all attempts together.
void SetTimeout(absl::Duration timeout, grpc::ClientContext* context);

}  // namespace neumf
