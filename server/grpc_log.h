#pragma once

// gRPC's own log, as lines of ours.
//
// It prints what peers send, bytes as they come and a line each time, so that
// anybody who can connect could forge lines and fill the disk. As events values
// are escaped, and each place in its source gets a line a minute.

namespace neumf {

// Events are called grpc_error. For the process; call before gRPC is used.
void LogGrpcErrorsAsEvents();

}  // namespace neumf
