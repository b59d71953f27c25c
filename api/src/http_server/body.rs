//! Response body that records whether the peer reads it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body as ResponseBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::activity::OpenRequest;

/// Maximum size of a part of an HTTP/2 response. The HTTP library stores a part that the flow control does not let
/// pass, so a larger one would occupy memory for a client that reads nothing.
const MAX_PART_BYTES: usize = 16 * 1024;

pub(super) struct TrackedBody {
    body: ResponseBody,
    /// Remaining bytes of the part that was divided.
    rest: Bytes,
    request: OpenRequest,
}

impl TrackedBody {
    pub(super) fn new(body: ResponseBody, request: OpenRequest) -> Self {
        request.record_part(true);
        Self { body, rest: Bytes::new(), request }
    }

    /// Returns the next part of the divided bytes.
    fn take_part(&mut self) -> Frame<Bytes> {
        let length = if self.request.is_http2() { self.rest.len().min(MAX_PART_BYTES) } else { self.rest.len() };
        Frame::data(self.rest.split_to(length))
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => {
                    // The peer has read everything so far.
                    this.request.record_part(false);
                    return other;
                }
            }
        }
        this.request.record_part(true);
        Poll::Ready(Some(Ok(this.take_part())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
