//! AWS calls that only `freehold bootstrap` makes, in addition to those of [`crate::cloud::Cloud`].

mod access;
mod contacts;
mod organization;

pub(crate) use access::PermissionSetFacts;
pub(crate) use contacts::Contact;
