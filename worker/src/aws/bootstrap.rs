//! AWS calls of `freehold bootstrap` beyond those of [`crate::cloud::Cloud`].

mod access;
mod contacts;
mod organization;

pub(crate) use access::PermissionSetFacts;
pub(crate) use contacts::Contact;
