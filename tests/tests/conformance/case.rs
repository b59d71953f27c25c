//! What a case is: a name, and a function that plays a scene and says in one line what it saw.

use std::pin::Pin;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::cloud::Cloud;
use super::target::Target;

/// What was seen, in one line; or the error that was met, by its code.
pub(super) type Observed = Result<String, Failure>;

/// One behaviour of AWS.
#[derive(Clone)]
pub(super) struct Case {
    /// Its key in the table: module and function.
    pub(super) name: String,
    run: fn(Cloud) -> Pin<Box<dyn Future<Output = Observed>>>,
}

impl Case {
    pub(super) fn new(module: &str, function: &str, run: fn(Cloud) -> Pin<Box<dyn Future<Output = Observed>>>) -> Self {
        let group = module.rsplit("::").next().unwrap_or(module);
        Self { name: format!("{group}.{function}"), run }
    }

    /// Plays the case in a fresh organisation.
    pub(super) async fn play(&self, target: &Target) -> String {
        let outcome = match target.fresh().await {
            Ok(cloud) => (self.run)(cloud).await,
            Err(failure) => Err(failure),
        };
        outcome.unwrap_or_else(|Failure(code)| code)
    }
}

/// Lists functions of this module as cases.
macro_rules! cases {
    ($($function:ident),* $(,)?) => {
        /// The cases of this file.
        pub(super) fn cases() -> Vec<super::case::Case> {
            vec![$(super::case::Case::new(module_path!(), stringify!($function), |cloud| Box::pin($function(cloud)))),*]
        }
    };
}
pub(super) use cases;

/// An error, as the line that the table has for it.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl<E: ProvideErrorMetadata> From<SdkError<E, HttpResponse>> for Failure {
    /// The code; an answer in which the SDK finds none is named by its status.
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned);
        Self(code.unwrap_or_else(|| match error.raw_response() {
            Some(response) => format!("HTTP {} without an error code", response.status().as_u16()),
            None => "no answer".to_owned(),
        }))
    }
}

/// The code and what AWS says with it, for the cases in which callers read the words.
pub(super) fn in_words<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> Failure {
    let message = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default().to_owned();
    let Failure(code) = error.into();
    Failure(format!("{code}: {message}"))
}

/// For a call that ought to be refused.
pub(super) fn accepted<T>(_: T) -> String {
    "accepted".to_owned()
}
