//! Request and response schemas that several routes share.

pub(crate) mod approval;
pub(crate) mod enums;
pub(crate) mod operation;
pub(crate) mod tenant;
pub(crate) mod tenant_view;
pub(crate) mod view;
