//! An in-process HTTP client for the AWS SDK.

use std::fmt;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use winterbaume_core::{MockRequest, MockResponse};

use super::STOPPED_REGION;
use crate::world::World;

/// Creates an HTTP client that passes requests to the simulated AWS in the same process.
pub fn client(world: &World) -> SharedHttpClient {
    SharedHttpClient::new(InProcessClient(world.clone()))
}

#[cfg(test)]
pub(crate) fn connector(world: &World) -> SharedHttpConnector {
    SharedHttpConnector::new(InProcessClient(world.clone()))
}

#[derive(Clone)]
struct InProcessClient(World);

impl fmt::Debug for InProcessClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpClient for InProcessClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcessClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = from_sdk(&request);
        if let Some(viewed) = self.0.view(&request) {
            let clock = self.0.clock().clone();
            return HttpConnectorFuture::new(async move {
                clock.sleep(viewed.waited).await;
                Ok(to_sdk(viewed.response))
            });
        }
        let Some(form) = self.0.missing_response(&request) else {
            return HttpConnectorFuture::ready(Ok(to_sdk(self.0.handle(&request))));
        };
        let world = self.0.clone();
        HttpConnectorFuture::new(async move {
            world.wait_for_end_of_outage(&request, form).await;
            let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, STOPPED_REGION);
            Err(ConnectorError::io(error.into()))
        })
    }
}

/// Converts an HTTP request of the AWS SDK to a request that [`World::handle`] accepts.
pub(crate) fn from_sdk(request: &HttpRequest) -> MockRequest {
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    MockRequest {
        method: request.method().to_owned(),
        uri: request.uri().to_owned(),
        headers,
        body: request.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default(),
    }
}

/// Converts a response of [`World::handle`] to an HTTP response of the AWS SDK.
pub(crate) fn to_sdk(mock: MockResponse) -> HttpResponse {
    let status = StatusCode::from(http::StatusCode::from_u16(mock.status).unwrap_or_default());
    let mut response = HttpResponse::new(status, SdkBody::from(mock.body));
    for (name, value) in &mock.headers {
        if let Ok(value) = value.to_str() {
            response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    response
}
