//! Outages of a region: its CloudFormation and its functions do not answer until the outage ends.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use freehold_tenancy::Region;
use serde::{Deserialize, Serialize};

use super::Faults;
use crate::world::{AwsError, Service, World};

/// Form in which the services and functions of a region fail during an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutageForm {
    /// Connections are refused at once.
    Refused,
    /// Connections are not established, until the client gives up.
    Unreachable,
    /// Connections are established, and requests are never answered.
    Hanging,
    /// Requests are answered with the status 503.
    Unavailable,
    /// Functions answer with the status 404, and services with 503.
    NotFound,
}

impl OutageForm {
    /// All forms, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Refused, Self::Unreachable, Self::Hanging, Self::Unavailable, Self::NotFound];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Hanging => "hanging",
            Self::Unavailable => "unavailable",
            Self::NotFound => "not-found",
        }
    }

    /// Returns whether a client gets no response at all.
    pub(crate) fn has_no_response(self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable | Self::Hanging)
    }
}

impl fmt::Display for OutageForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OutageForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|form| form.as_str() == text).ok_or_else(|| format!("must be one of {}", names()))
    }
}

/// Outage of one region, which can be in the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionOutage {
    pub region: Region,
    pub form: OutageForm,
    /// Whether STS, Identity Center and all other services with an endpoint in the region fail, too.
    pub all_services: bool,
    pub started_at: DateTime<Utc>,
    /// Time of the sandbox's clock at which the outage ends by itself; `None` if only [`World::end_outages`] ends it.
    pub ends_at: Option<DateTime<Utc>>,
}

impl RegionOutage {
    fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.started_at <= now && self.ends_at.is_none_or(|end| now < end)
    }

    fn affects(&self, service: Service) -> bool {
        self.all_services || matches!(service, Service::CloudFormation | Service::Lambda)
    }
}

impl Faults {
    /// Returns the form in which a service fails in a region at `now`, or `None` if it works.
    pub(crate) fn outage_form(&self, service: Service, region: &str, now: DateTime<Utc>) -> Option<OutageForm> {
        let mut active = self.outages.iter().filter(|outage| outage.is_active(now));
        active.find(|outage| outage.region.as_str() == region && outage.affects(service)).map(|outage| outage.form)
    }

    pub(crate) fn has_outages(&self) -> bool {
        !self.outages.is_empty()
    }
}

impl World {
    /// Starts an outage of a region. It replaces an outage of the same region.
    pub fn start_outage(&self, outage: RegionOutage) {
        let outages = &mut self.state().faults.outages;
        outages.retain(|other| other.region != outage.region);
        outages.push(outage);
    }

    /// Starts an outage of the services and functions of a region that lasts until [`World::end_outages`].
    pub fn stop_region(&self, region: Region, form: OutageForm) {
        let started_at = self.clock().now();
        self.start_outage(RegionOutage { region, form, all_services: false, started_at, ends_at: None });
    }

    /// Returns the active outages, in the order of their start.
    pub fn outages(&self) -> Vec<RegionOutage> {
        let now = self.clock().now();
        self.state().faults.outages.iter().filter(|outage| outage.is_active(now)).cloned().collect()
    }

    /// Ends the outages of all regions.
    pub fn end_outages(&self) {
        self.state().faults.outages.clear();
    }
}

/// Returns the error with which a service or a function answers during an outage. It also stands for a missing response
/// if a request does not arrive over a connection that could fail.
pub(crate) fn outage_error(form: OutageForm, is_function_url: bool) -> AwsError {
    if form == OutageForm::NotFound && is_function_url {
        return AwsError::new("ResourceNotFoundException", "Not Found").status(404);
    }
    AwsError::new("ServiceUnavailable", "Service is unavailable. The sandbox has stopped this region.").status(503)
}
