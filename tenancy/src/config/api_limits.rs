//! Limits of an API process on connections and streams.

use std::time::Duration;

use serde::Deserialize;

/// Section `[api.limits]`: time limits of a connection, and numbers of connections and streams of one API process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiLimits {
    /// Time to receive the complete header of a request. It starts when the connection is opened or when the first byte
    /// of a later request arrives.
    pub header_timeout_seconds: u64,
    /// Time to receive the complete body of a request. Each body gets between half and all of it, at random.
    pub body_timeout_seconds: u64,
    /// Time after which a connection without a request is closed.
    pub idle_timeout_seconds: u64,
    /// Time after which a connection is closed whose client does not read the response.
    pub response_stall_seconds: u64,
    /// Maximum size of the header of a request.
    pub max_header_bytes: u32,
    /// Maximum number of concurrent requests on one HTTP/2 connection.
    pub max_http2_streams: u32,
    /// Maximum number of connections.
    pub max_connections: u32,
    /// Maximum number of connections from one address; 0 means unlimited.
    pub max_connections_per_address: u32,
    /// Maximum number of event streams and waiting feed requests.
    pub max_streams: u32,
    /// Maximum number of event streams and waiting feed requests of one client. All clients of a tenant count as one.
    pub max_streams_per_client: u32,
    /// Maximum duration of an event stream.
    pub max_stream_seconds: u64,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            header_timeout_seconds: 10,
            body_timeout_seconds: 20,
            // Longer than the idle timeout of load balancers (60 s on AWS), which otherwise use closed connections.
            idle_timeout_seconds: 75,
            response_stall_seconds: 30,
            max_header_bytes: 64 * 1024,
            max_http2_streams: 100,
            max_connections: 3000,
            max_connections_per_address: 0,
            max_streams: 1000,
            max_streams_per_client: 100,
            max_stream_seconds: 60 * 60,
        }
    }
}

impl ApiLimits {
    pub fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout_seconds)
    }

    pub fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_seconds)
    }

    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_seconds)
    }

    pub fn response_stall(&self) -> Duration {
        Duration::from_secs(self.response_stall_seconds)
    }

    pub fn max_stream_duration(&self) -> Duration {
        Duration::from_secs(self.max_stream_seconds)
    }
}
