#include "client/security_options.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/file_system.h"
#include "base/status_macros.h"

namespace neumf {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

// The content of the file that `option` names; empty when it is not given.
absl::StatusOr<std::string> FileOf(const Args& args, absl::string_view option,
                                   FileSystem& files) {
  if (!args.has(option)) return "";
  auto text = ReadWholeFile(files, args.value(option), kMaxFileBytes);
  if (!text.ok()) return Annotate(text.status(), option);
  if (text->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, ": the file is empty"));
  }
  return text;
}

// gRPC aborts on bytes that cannot stand in a header.
absl::StatusOr<std::string> TokenIn(absl::string_view text) {
  const absl::string_view token = absl::StripAsciiWhitespace(text);
  if (token.empty() ||
      !std::all_of(token.begin(), token.end(),
                   [](unsigned char c) { return absl::ascii_isgraph(c); })) {
    return absl::InvalidArgumentError(
        "--token_file: the file holds no token, or more than one");
  }
  return std::string(token);
}

}  // namespace

void AddSecurityOptions(std::vector<OptionSpec>* options) {
  options->push_back(
      {"--tls_ca", "FILE", "TLS: PEM of the CAs that vouch for the server"});
  options->push_back(
      {"--tls_cert", "FILE", "with --tls_key: PEM of a certificate to show"});
  options->push_back({"--tls_key", "FILE", "PEM of its private key"});
  options->push_back({"--token_file", "FILE", "the bearer token to send"});
}

absl::StatusOr<ChannelSecurity> ReadSecurity(const Args& args) {
  if (args.has("--tls_cert") != args.has("--tls_key")) {
    return absl::InvalidArgumentError(
        "--tls_cert and --tls_key go together: one of them is missing");
  }
  if (args.has("--tls_cert") && !args.has("--tls_ca")) {
    return absl::InvalidArgumentError("--tls_cert needs --tls_ca");
  }
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  ChannelSecurity security;
  NEUMF_ASSIGN_OR_RETURN(security.server_ca, FileOf(args, "--tls_ca", *files));
  NEUMF_ASSIGN_OR_RETURN(security.certificate_chain,
                         FileOf(args, "--tls_cert", *files));
  NEUMF_ASSIGN_OR_RETURN(security.private_key,
                         FileOf(args, "--tls_key", *files));
  if (args.has("--token_file")) {
    NEUMF_ASSIGN_OR_RETURN(const std::string text,
                           FileOf(args, "--token_file", *files));
    NEUMF_ASSIGN_OR_RETURN(security.token, TokenIn(text));
  }
  return security;
}

}  // namespace neumf
