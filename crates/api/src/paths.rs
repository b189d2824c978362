//! Paths of the gateway's REST API.

/// `POST`: sign up.
pub const USERS: &str = "/v1/users";
/// `POST`: log in; `GET`: list; `DELETE`: end all but this one; `DELETE {SESSIONS}/{id}`: end one.
pub const SESSIONS: &str = "/v1/sessions";
/// `POST`: exchange a refresh token.
pub const SESSIONS_REFRESH: &str = "/v1/sessions/refresh";
/// `DELETE`: sign out.
pub const SESSIONS_CURRENT: &str = "/v1/sessions/current";
/// `GET`: who am I.
pub const ME: &str = "/v1/me";
/// `PUT`: change the password.
pub const ME_PASSWORD: &str = "/v1/me/password";
/// `GET`: what the account did and what was done to it.
pub const AUDIT: &str = "/v1/audit";
/// `GET`: the whole audit log, for admins.
pub const ADMIN_AUDIT: &str = "/v1/admin/audit";
/// `GET`: all accounts, for admins; `POST {ADMIN_USERS}/{name}/disable`, `…/enable`.
pub const ADMIN_USERS: &str = "/v1/admin/users";
/// `GET`: keys that sign tokens (RFC 7517).
pub const JWKS: &str = "/.well-known/jwks.json";
/// `GET`: is it up.
pub const HEALTH: &str = "/v1/health";
/// `POST`: which of these blobs are missing.
pub const BLOBS_MISSING: &str = "/v1/blobs/missing";
/// `PUT {BLOBS}/{sha256}`: upload one blob.
pub const BLOBS: &str = "/v1/blobs";
/// `POST`: publish; `GET`: list; `GET {APPS}/{name}`: one.
pub const APPS: &str = "/v1/apps";
/// `POST`: create; `GET`: list; `GET`, `DELETE {ENCLAVES}/{name}`; `POST …/stop`, `…/start`, `…/token`; `GET …/logs`, `…/stages`.
pub const ENCLAVES: &str = "/v1/enclaves";
/// Response header with the id of the request, for reports to the operator.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
/// Media type of error bodies (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
