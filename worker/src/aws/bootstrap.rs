//! What `freehold bootstrap` asks of AWS, and does there, beyond the verbs of [`crate::cloud::Cloud`].

mod access;
mod contacts;
mod organization;

pub(crate) use access::PermissionSetFacts;
pub(crate) use contacts::Contact;
