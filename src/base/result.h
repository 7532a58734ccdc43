// Result<T> and Error: how every expected failure travels in Roadstead.
//
// A function that can fail for a reason the caller should handle returns Result<T>; broken invariants use ASSERT
// (base/assert.h). One table per protocol (Kubernetes Status, HTTP, gRPC) maps Code to that protocol's own form.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace rs {

// One enum for every room. The first block has the names of Kubernetes Status reasons
// (apimachinery metav1.StatusReason); the second serves stores and transports.
enum class Code {
  kBadRequest,
  kUnauthorized,
  kForbidden,
  kNotFound,
  kMethodNotAllowed,
  kNotAcceptable,
  kAlreadyExists,
  kConflict,
  kGone,
  kExpired,
  kRequestEntityTooLarge,
  kUnsupportedMediaType,
  kInvalid,
  kTooManyRequests,
  kInternalError,
  kServiceUnavailable,
  kTimeout,

  kCancelled,
  kUnavailable,         // peer unreachable or connection lost: try elsewhere
  kDataLoss,            // stored bytes are damaged
  kOutOfRange,          // e.g. a revision that was compacted or lies in the future
  kFailedPrecondition,
  kResourceExhausted,   // a named limit was reached
  kUnimplemented,
};

std::string_view to_string(Code code);

// What a Kubernetes Status carries beside reason and message (metav1.StatusDetails).
struct ErrorDetails {
  struct Cause {
    std::string reason;   // e.g. FieldValueInvalid
    std::string message;
    std::string field;    // e.g. spec.ports[0].port
  };
  std::string kind;       // the resource for most errors, the Kind for Invalid
  std::string group;
  std::string name;
  std::string uid;
  std::vector<Cause> causes;
  int retry_after_seconds = 0;
};

struct Error {
  Code code = Code::kInternalError;
  std::string message;
  std::shared_ptr<const ErrorDetails> details = nullptr;
  std::shared_ptr<const Error> cause = nullptr;
};

// "message: cause: cause of the cause", for logs.
std::string to_string(const Error& error);

// Value or Error; the member names are std::expected's.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
};

// return fail(Code::kNotFound, "pods \"{}\" not found", name);
template <class... Args>
std::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

// The same code, with "what: " before the message: says where a failure was met.
std::unexpected<Error> fail_at(std::string_view what, const Error& error);

}  // namespace rs
