#pragma once

// --tls_ca, --tls_cert, --tls_key and --token_file, for the commands that ask a
// server.

#include <vector>

#include "absl/status/statusor.h"
#include "client/args.h"
#include "client/channel_security.h"

namespace neumf {

// Appends them to the options of a command.
void AddSecurityOptions(std::vector<OptionSpec>* options);

// What they say. INVALID_ARGUMENT, and the errors of files, name the option.
absl::StatusOr<ChannelSecurity> ReadSecurity(const Args& args);

}  // namespace neumf
