//! Authentication and authorisation: bearer tokens (RFC 6750) that are JWTs (RFC 9068), verified with the issuer's
//! keys.

mod bearer;
mod caller;
mod keys;
mod rate_limit;
mod roles;
mod scope_claim;
mod tenant_scope;
mod token;
mod token_cache;

pub(crate) use bearer::{authenticate, bearer, insufficient_scope};
pub(crate) use caller::Caller;
pub use keys::KeysError;
pub(crate) use rate_limit::RateLimiter;
pub(crate) use roles::Roles;
pub use roles::UnknownScope;
pub(crate) use token::Tokens;
