//! Tests of the section `[api.limits]`.

use super::assert_problem_of;

#[test]
fn a_limit_of_the_api_out_of_its_range_is_a_problem() {
    for (limits, expected) in [
        ("header_timeout_seconds = 0", "header_timeout_seconds: must be from 1 to 60"),
        ("body_timeout_seconds = 30", "body_timeout_seconds: must be from 1 to 25"),
        ("idle_timeout_seconds = 0", "idle_timeout_seconds: must be from 1 to 3600"),
        ("response_stall_seconds = 0", "response_stall_seconds: must be from 1 to 3600"),
        ("max_header_bytes = 100", "max_header_bytes: must be from 8192 to 1048576"),
        ("max_http2_streams = 0", "max_http2_streams: must be from 1 to 1000"),
        ("max_connections = 0", "max_connections: must be from 1 to 1000000"),
        ("max_connections_per_address = 1000001", "max_connections_per_address: must be from 0 to 1000000"),
        ("max_streams = 0", "max_streams: must be from 1 to 1000000"),
        ("max_streams = 3001", "max_streams: must be at most max_connections (3000)"),
        ("max_streams_per_client = 1001", "max_streams_per_client: must be from 1 to max_streams (1000)"),
        ("max_streams_per_client = 0", "max_streams_per_client: must be from 1 to max_streams (1000)"),
        ("max_stream_seconds = 0", "max_stream_seconds: must be from 1 to 86400"),
        ("max_conections = 5", "max_conections: must be removed, because there is no such field"),
    ] {
        assert_problem_of(&format!("[api.limits]\n{limits}"), &format!("api.limits.{expected}"));
    }
}
