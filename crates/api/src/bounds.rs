//! Bounds on what a caller may send. The gateway refuses what exceeds them; a client may check first for a better message.

/// Largest JSON request body, in bytes.
pub const JSON_BODY_BYTES: usize = 1 << 20;
/// Largest JSON request body on routes that anybody may call, in bytes.
pub const OPEN_BODY_BYTES: usize = 16 << 10;
/// Largest form, in bytes.
pub const FORM_BODY_BYTES: usize = 16 << 10;
/// Largest body of `POST /v1/apps`, in bytes: manifests are long.
pub const APP_BODY_BYTES: usize = 8 << 20;
/// Largest blob, in bytes.
pub const BLOB_BYTES: u64 = 512 << 20;
/// Longest account name, in bytes. Allowed characters: `[a-z0-9._-]`, and one `@` for names that look like an e-mail address.
pub const ACCOUNT_NAME_BYTES: usize = 64;
/// Shortest password, in characters (NIST SP 800-63B-4: 15 for a single factor).
pub const PASSWORD_CHARS_MIN: usize = 15;
/// Longest password, in bytes. Nothing is ever cut off.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Longest name of an enclave, in bytes: a lower-case DNS label (letters, digits, inner hyphens), as for apps.
pub const ENCLAVE_NAME_BYTES: usize = 63;
/// Longest token of any kind, in bytes.
pub const TOKEN_BYTES: usize = 4096;
/// Most digests in one question for missing blobs.
pub const MISSING_DIGESTS: usize = 8192;
/// Most bytes of an app's output in one answer.
pub const LOG_BYTES: u32 = 256 << 10;
/// Most rows in one answer of a list.
pub const PAGE_ROWS: u32 = 100;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES: usize = 128;
/// Longest cursor of a list, in bytes.
pub const CURSOR_BYTES: usize = 512;
/// Events that are kept of one enclave.
pub const EVENTS: u64 = 200;
/// Longest `idle_timeout`, `max_age` and extension, in seconds: a year.
pub const LIFETIME_SECONDS: u64 = 366 * 86_400;
/// Longest name of a passkey, in bytes.
pub const PASSKEY_NAME_BYTES: usize = 64;
