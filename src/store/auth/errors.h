// The errors of authentication and authorisation, in etcd's exact words (reference etcd-api.md
// A.11).
#pragma once

#include "base/result.h"

namespace rs::store::errors {

#define RS_STORE_ERROR(name, code, text)     \
  inline Error name() {                      \
    return Error{code, "etcdserver: " text}; \
  }

RS_STORE_ERROR(user_empty, Code::kBadRequest, "user name is empty")
RS_STORE_ERROR(role_empty, Code::kBadRequest, "role name is empty")
RS_STORE_ERROR(auth_failed, Code::kBadRequest, "authentication failed, invalid user ID or password")
RS_STORE_ERROR(permission_not_given, Code::kBadRequest, "permission not given")
RS_STORE_ERROR(invalid_auth_management, Code::kBadRequest, "invalid auth management")
RS_STORE_ERROR(auth_old_revision, Code::kBadRequest, "revision of auth store is old")
RS_STORE_ERROR(root_user_missing, Code::kFailedPrecondition, "root user does not exist")
RS_STORE_ERROR(root_role_missing, Code::kFailedPrecondition, "root user does not have root role")
RS_STORE_ERROR(user_exists, Code::kFailedPrecondition, "user name already exists")
RS_STORE_ERROR(user_not_found, Code::kFailedPrecondition, "user name not found")
RS_STORE_ERROR(role_exists, Code::kFailedPrecondition, "role name already exists")
RS_STORE_ERROR(role_not_found, Code::kFailedPrecondition, "role name not found")
RS_STORE_ERROR(role_not_granted, Code::kFailedPrecondition, "role is not granted to the user")
RS_STORE_ERROR(permission_not_granted, Code::kFailedPrecondition,
               "permission is not granted to the role")
RS_STORE_ERROR(auth_not_enabled, Code::kFailedPrecondition, "authentication is not enabled")
RS_STORE_ERROR(permission_denied, Code::kForbidden, "permission denied")
RS_STORE_ERROR(invalid_auth_token, Code::kUnauthorized, "invalid auth token")

#undef RS_STORE_ERROR

// etcd has no status of their own for these: they reach the client as Unknown, which kNotAcceptable
// becomes.
inline Error password_for_no_password_user() {
  return {Code::kNotAcceptable,
          "auth: authentication failed, password was given for no password user"};
}
inline Error password_too_long() {
  return {Code::kNotAcceptable, "bcrypt: password length exceeds 72 bytes"};
}
inline Error verify_only_key() {
  return {Code::kNotAcceptable, "auth: token signing attempted with verify-only key"};
}

}  // namespace rs::store::errors
