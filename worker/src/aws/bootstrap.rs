//! AWS calls that only `freehold bootstrap` makes.

mod access;
mod contacts;
mod organization;

pub(crate) use access::{PERMISSION_SET_TAG, PermissionSetFacts};
pub(crate) use contacts::Contact;
