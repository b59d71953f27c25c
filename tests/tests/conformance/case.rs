//! Test case of the conformance tests: a name and a function that observes one behaviour of AWS.

use std::pin::Pin;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::cloud::Cloud;
use super::target::Target;

/// Observed behaviour of AWS in one line, or the error code.
pub(super) type Observed = Result<String, Failure>;

#[derive(Clone)]
pub(super) struct Case {
    /// Key of the case in `expected.toml`: module and function.
    pub(super) name: String,
    run: fn(Cloud) -> Pin<Box<dyn Future<Output = Observed>>>,
}

impl Case {
    pub(super) fn new(module: &str, function: &str, run: fn(Cloud) -> Pin<Box<dyn Future<Output = Observed>>>) -> Self {
        let group = module.rsplit("::").next().unwrap_or(module);
        Self { name: format!("{group}.{function}"), run }
    }

    /// Runs the case in a new organisation.
    pub(super) async fn run(&self, target: &Target) -> String {
        let outcome = match target.new_organisation().await {
            Ok(cloud) => (self.run)(cloud).await,
            Err(failure) => Err(failure),
        };
        outcome.unwrap_or_else(|Failure(code)| code)
    }
}

/// Defines `cases()`, which returns the given functions of the module as test cases.
macro_rules! cases {
    ($($function:ident),* $(,)?) => {
        /// Returns the test cases of this module.
        pub(super) fn cases() -> Vec<super::case::Case> {
            vec![$(super::case::Case::new(module_path!(), stringify!($function), |cloud| Box::pin($function(cloud)))),*]
        }
    };
}
pub(super) use cases;

/// Error code or error message, as recorded in `expected.toml`.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl<E: ProvideErrorMetadata> From<SdkError<E, HttpResponse>> for Failure {
    /// Converts an error to its error code, or to the HTTP status if the response contains no code.
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned);
        Self(code.unwrap_or_else(|| match error.raw_response() {
            Some(response) => format!("HTTP {} without an error code", response.status().as_u16()),
            None => "no answer".to_owned(),
        }))
    }
}

/// Returns the error code and the message, for cases in which Freehold depends on the message.
pub(super) fn with_message<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> Failure {
    let message = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default().to_owned();
    let Failure(code) = error.into();
    Failure(format!("{code}: {message}"))
}

/// Returns the observation "accepted" for a call that AWS is expected to reject.
pub(super) fn accepted<T>(_: T) -> String {
    "accepted".to_owned()
}
