//! Authentication and authorisation with bearer tokens (RFC 6750). The tokens are JWTs (RFC 9068) and are verified with
//! the keys of their issuer.

mod bearer;
mod caller;
mod config_check;
mod issuer;
mod keys;
mod rate_limit;
mod refusal;
mod roles;
mod scope_claim;
mod tenant_scope;
mod token;
mod token_cache;
mod token_format;

pub(crate) use bearer::{authenticate, bearer, insufficient_scope};
pub(crate) use caller::{Caller, SignedIn};
pub use config_check::config_problems;
pub use keys::KeysError;
pub(crate) use rate_limit::RateLimiter;
pub use roles::UnknownScope;
pub(crate) use tenant_scope::TenantScope;
pub use token::IssuersError;
pub(crate) use token::TokenVerifier;
