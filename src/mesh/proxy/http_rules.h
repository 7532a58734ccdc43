// What a proxy does to the fields of a message, and how it judges one (RFC 9110 7.6). Pure.
#pragma once

#include <optional>
#include <string>

#include "mesh/balance/balancer.h"
#include "mesh/proxy/limits.h"
#include "mesh/proxy/worker.h"
#include "net/http1.h"

namespace rs::mesh {

constexpr std::string_view kTimeoutHeader = "x-request-timeout-ms";
constexpr std::string_view kRetryAttempt = "l5d-retry-attempt";

// Methods of RFC 9110 9.2.2, or any with an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).
bool is_idempotent(const net::http1::RequestHead& head);
bool is_gateway_error(int status);   // the endpoint says that it cannot serve now
Outcome judge(int status);
// From x-request-timeout-ms; nothing when absent or no positive number.
std::optional<Duration> asked_timeout(const net::Headers& headers, const ProxyLimits& limits);

// All fields but those that belong to one connection, those named by Connection, and the framing, which is written
// anew. of_request: also what this proxy consumes or replaces.
void write_end_to_end_fields(std::string& out, const net::Headers& headers, bool of_request);

// A whole answer that says who speaks and why.
std::string refusal_message(const Refusal& refusal, bool head_only, bool keep, const Worker& worker);

}  // namespace rs::mesh
