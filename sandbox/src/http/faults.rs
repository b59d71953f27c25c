//! The faults that `freehold sandbox fault` starts, lists and ends: `POST`, `GET` and `DELETE /-/faults`.

use axum::http::{HeaderMap, Method};
use chrono::{DateTime, Utc};
use freehold_tenancy::Region;
use serde::{Deserialize, Serialize};
use serde_json::json;
use winterbaume_core::MockResponse;

use crate::faults::{OutageForm, RegionOutage};
use crate::world::World;

/// Longest duration of an outage, in seconds: 30 days.
const MAX_SECONDS: u32 = 30 * 24 * 3_600;

/// Body of `POST /-/faults`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NewFault {
    /// Outage of a region.
    RegionDown {
        region: Region,
        #[serde(default = "default_form")]
        form: OutageForm,
        #[serde(default)]
        all_services: bool,
        /// Duration by the sandbox's clock; without it, the outage lasts until `DELETE /-/faults`.
        #[serde(default)]
        seconds: Option<u32>,
    },
}

/// Entry of `GET /-/faults`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum ActiveFault {
    RegionDown {
        region: Region,
        form: OutageForm,
        all_services: bool,
        started_at: DateTime<Utc>,
        ends_at: Option<DateTime<Utc>>,
    },
}

/// Response of `GET /-/faults`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultList {
    pub faults: Vec<ActiveFault>,
}

impl From<RegionOutage> for ActiveFault {
    fn from(outage: RegionOutage) -> Self {
        let RegionOutage { region, form, all_services, started_at, ends_at } = outage;
        Self::RegionDown { region, form, all_services, started_at, ends_at }
    }
}

fn default_form() -> OutageForm {
    OutageForm::Refused
}

/// Handles a request for `/-/faults`. Returns `None` for any other path.
///
/// Web pages of other sites must not start faults. A browser adds the header Origin to their requests, sends JSON only
/// with permission, and names a host that is not this machine if a site has changed its DNS record to loopback.
pub(super) fn handle(
    world: &World,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<MockResponse> {
    if path != "/-/faults" {
        return None;
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key("origin") || !header("host").is_some_and(is_loopback_host) {
        return Some(error(403, "faults can only be changed from this machine, and not by a web page"));
    }
    Some(match *method {
        Method::GET => list(world),
        Method::POST => {
            let content_type = header("content-type").and_then(|value| value.split(';').next()).unwrap_or_default();
            match serde_json::from_slice(body) {
                _ if !content_type.trim().eq_ignore_ascii_case("application/json") => {
                    error(415, "the content type must be application/json")
                }
                Ok(fault) => start(world, fault),
                Err(reason) => error(400, &format!("the body must be a fault: {reason}")),
            }
        }
        Method::DELETE => {
            world.end_outages();
            MockResponse::rest_json(204, "")
        }
        _ => error(405, "the method must be GET, POST or DELETE"),
    })
}

/// Returns whether a Host header names this machine.
pub(super) fn is_loopback_host(host: &str) -> bool {
    let without_port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = without_port.map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn start(world: &World, fault: NewFault) -> MockResponse {
    let NewFault::RegionDown { region, form, all_services, seconds } = fault;
    if seconds.is_some_and(|seconds| seconds == 0 || seconds > MAX_SECONDS) {
        return error(400, &format!("seconds: must be from 1 to {MAX_SECONDS}"));
    }
    let started_at = world.clock().now();
    let ends_at = seconds.map(|seconds| started_at + chrono::TimeDelta::seconds(seconds.into()));
    let outage = RegionOutage { region, form, all_services, started_at, ends_at };
    world.start_outage(outage.clone());
    MockResponse::rest_json(201, json!(ActiveFault::from(outage)).to_string())
}

fn list(world: &World) -> MockResponse {
    let faults = world.outages().into_iter().map(ActiveFault::from).collect();
    MockResponse::rest_json(200, json!(FaultList { faults }).to_string())
}

fn error(status: u16, message: &str) -> MockResponse {
    MockResponse::rest_json(status, json!({ "error": message }).to_string())
}
