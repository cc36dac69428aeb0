#include "server/authenticator.h"

#include <utility>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "grpc/grpc_security_constants.h"
#include "server/errors.h"

namespace neumf {
namespace {

constexpr char kAuthorization[] = "authorization";
constexpr absl::string_view kScheme = "Bearer ";

// Schemes have no case (RFC 9110).
bool ConsumeScheme(absl::string_view* value) {
  if (!absl::StartsWithIgnoreCase(*value, kScheme)) return false;
  value->remove_prefix(kScheme.size());
  return true;
}

Credentials CredentialsOf(const grpc::CallbackServerContext& context) {
  Credentials credentials;
  const auto range = context.client_metadata().equal_range(kAuthorization);
  for (auto header = range.first; header != range.second; ++header) {
    credentials.authorizations.emplace_back(header->second.data(),
                                            header->second.size());
  }
  const auto peer = context.auth_context();
  if (peer == nullptr || !peer->IsPeerAuthenticated()) return credentials;
  for (const grpc::string_ref& san :
       peer->FindPropertyValues(GRPC_X509_SAN_PROPERTY_NAME)) {
    credentials.sans.emplace_back(san.data(), san.size());
  }
  return credentials;
}

}  // namespace

Authenticator::Authenticator(absl::string_view path, FileSystem* files,
                             ServerMetrics* metrics)
    : asks_(!path.empty()),
      file_(ConfigFile::kAuthTokens, {std::string(path)}, files, metrics,
            [this](const auto& texts) { return Use(texts[0]); }),
      table_(std::make_shared<const TokenTable>()) {}

absl::Status Authenticator::Load() {
  return asks_ ? file_.Load() : absl::OkStatus();
}

void Authenticator::Poll() {
  if (asks_) file_.Poll();
}

absl::Status Authenticator::Use(absl::string_view text) {
  NEUMF_ASSIGN_OR_RETURN(TokenTable parsed, TokenTable::Parse(text));
  auto table = std::make_shared<const TokenTable>(std::move(parsed));
  // The old one goes after the lock.
  MutexLock lock(&mutex_);
  table_.swap(table);
  return absl::OkStatus();
}

absl::StatusOr<Caller> Authenticator::Identify(
    const Credentials& credentials) const {
  if (!asks_) return Caller{"", Rights::All()};
  std::shared_ptr<const TokenTable> table;
  {
    MutexLock lock(&mutex_);
    table = table_;
  }
  // Whoever shows a token is meant to be known by it: a certificate does not
  // make up for one that is wrong.
  if (!credentials.authorizations.empty()) {
    absl::string_view token = credentials.authorizations.front();
    const Caller* const caller =
        credentials.authorizations.size() == 1 && ConsumeScheme(&token)
            ? table->FindToken(token)
            : nullptr;
    if (caller == nullptr) {
      return Unauthenticated("UNKNOWN_TOKEN",
                             "the bearer token is not one that is known here");
    }
    return *caller;
  }
  for (const std::string& san : credentials.sans) {
    const Caller* const caller = table->FindSan(san);
    if (caller != nullptr) return *caller;
  }
  if (!credentials.sans.empty()) {
    return PermissionDenied("UNKNOWN_CERTIFICATE",
                            "no caller here has the name of the certificate");
  }
  return Unauthenticated("NO_CREDENTIALS",
                         "the call shows neither a bearer token (metadata "
                         "authorization) nor a client certificate");
}

bool Authenticator::AllowsMetrics(absl::string_view name,
                                  absl::string_view token) const {
  const auto caller = Identify({{absl::StrCat("Bearer ", token)}, {}});
  return caller.ok() && caller->name == name &&
         caller->rights.Has(Right::kMetricsRead);
}

absl::StatusOr<Caller> Authenticator::Authorize(
    const grpc::CallbackServerContext& context, Right right) const {
  if (!asks_) return Caller{"", Rights::All()};
  NEUMF_ASSIGN_OR_RETURN(Caller caller, Identify(CredentialsOf(context)));
  NEUMF_RETURN_IF_ERROR(CheckRight(caller, right));
  return caller;
}

}  // namespace neumf
