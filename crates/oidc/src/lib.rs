//! Sign-in at another provider (OpenID Connect Core 1.0, authorization code with PKCE S256), as a client.
//!
//! What it is: discovery and key sets over TLS with the roots that the operator names, the way to the provider and back, and strict checks of what
//! comes back. What it is not: a place that knows accounts. Who came is the pair of issuer and subject and nothing else: no e-mail address and no name
//! is ever read (CVE-2026-9087 and its relatives linked accounts by things that a user can choose). Called by the gateway.

mod fetch;
mod id_token;
mod keys;
mod provider;

pub use fetch::FetchError;
pub use id_token::{Expected, Identity, Refused, check as check_id_token};
pub use keys::{KeyError, Keys};
pub use provider::{Provider, ProviderConfig, SetupError, SignInError, Started};
