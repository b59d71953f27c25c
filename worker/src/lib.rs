//! The background worker. The only place that knows the AWS SDK.

pub mod cloud;
