//! An error response of a simulated service, independent of the wire protocol.

use std::collections::BTreeMap;

use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
pub struct AwsError {
    pub status: u16,
    /// Error code, such as `AccountNotFoundException`. SDKs map the code to an exception type.
    pub code: String,
    pub message: String,
    /// Additional members of the error body, such as `Reason`.
    pub members: BTreeMap<String, Value>,
}

impl AwsError {
    /// Creates an error with HTTP status 400, the status of most AWS errors.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into(), members: BTreeMap::new() }
    }

    /// Replaces the HTTP status of the error.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a member to the error body.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.into(), value.into());
        self
    }

    /// Adds the member `Reason`, which several errors of AWS Organizations have.
    #[must_use]
    pub fn reason(self, reason: &str) -> Self {
        self.with("Reason", reason)
    }

    /// Returns the error for an operation that is not simulated or does not exist.
    pub fn unknown_operation(operation: &str) -> Self {
        Self::new("UnknownOperationException", format!("The sandbox does not know the operation {operation}."))
    }

    /// Returns the error for a request body that cannot be deserialised as the input of the operation.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }
}
