//! An error as a service states it; how it looks on the wire is the protocol's business.

use std::collections::BTreeMap;

use serde_json::Value;

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsError {
    /// HTTP status.
    pub status: u16,
    /// The code that SDKs turn into a type, such as `AccountNotFoundException`.
    pub code: String,
    /// What it says to people.
    pub message: String,
    /// Further members of the error shape, such as `Reason`.
    pub members: BTreeMap<String, Value>,
}

impl AwsError {
    /// An error with HTTP status 400, which most AWS errors have.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into(), members: BTreeMap::new() }
    }

    /// With another HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With a further member in its body.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.into(), value.into());
        self
    }

    /// With a `Reason`, which several Organizations errors carry.
    #[must_use]
    pub fn reason(self, reason: &str) -> Self {
        self.with("Reason", reason)
    }

    /// The operation is not simulated (or does not exist).
    pub fn unknown_operation(operation: &str) -> Self {
        Self::new("UnknownOperationException", format!("The sandbox does not know the operation {operation}."))
    }

    /// The body cannot be read as what the operation takes.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }
}
