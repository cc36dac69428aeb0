#pragma once

// Macros and functions that carry an absl::Status up the stack, with context
// added at each hop:
//
//   NEUMF_RETURN_IF_ERROR(file->Append(bytes));
//   NEUMF_ASSIGN_OR_RETURN(auto header, ParseHeader(bytes));
//   return Annotate(status, "tensor item.gmf");   // "tensor item.gmf: ..."

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace neumf {

// `status` with "context: " before its message; its code and payloads stay.
// An OK status is returned as it is.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// A status for a failed system call: the code that fits `error_number` (ENOENT
// is NOT_FOUND, EEXIST is ALREADY_EXISTS, ENOSPC and ENOMEM are
// RESOURCE_EXHAUSTED, EACCES is PERMISSION_DENIED, other errors UNAVAILABLE),
// the message "context: text of the error".
absl::Status ErrnoStatus(int error_number, absl::string_view context);

}  // namespace neumf

#define NEUMF_RETURN_IF_ERROR(expression)        \
  do {                                           \
    absl::Status neumf_status = (expression);    \
    if (!neumf_status.ok()) return neumf_status; \
  } while (false)

#define NEUMF_CONCAT_INNER(a, b) a##b
#define NEUMF_CONCAT(a, b) NEUMF_CONCAT_INNER(a, b)

#define NEUMF_ASSIGN_OR_RETURN(declaration, expression)                 \
  NEUMF_ASSIGN_OR_RETURN_IMPL(NEUMF_CONCAT(neumf_status_or_, __LINE__), \
                              declaration, expression)

#define NEUMF_ASSIGN_OR_RETURN_IMPL(name, declaration, expression) \
  auto name = (expression);                                        \
  if (!name.ok()) return std::move(name).status();                 \
  declaration = *std::move(name)
