//! What the API measures, for Prometheus: names and units as OpenTelemetry has them for HTTP servers.

use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::finding::Severity;
use freehold_tenancy::fleet_hold::{FleetHold, HoldKind};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::webhook::DisabledReason;
use metrics::{gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

const REQUEST_DURATION: &str = "http_server_request_duration_seconds";
const OPERATIONS: &str = "freehold_operations";
const HOLDS: &str = "freehold_fleet_holds";
const FINDINGS: &str = "freehold_findings";
const WEBHOOKS: &str = "freehold_webhook_endpoints";

/// Bounds in seconds, as OpenTelemetry recommends for HTTP servers ("Semantic conventions for HTTP metrics").
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The measurements of one API; several in one process keep theirs apart.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<PrometheusRecorder>);

impl Metrics {
    pub(crate) fn new() -> Self {
        let builder = PrometheusBuilder::new();
        // Only an empty list of bounds is refused.
        let builder = builder.set_buckets(&BOUNDS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_histogram!(REQUEST_DURATION, "How long requests took until their answer began.");
            metrics::describe_gauge!(OPERATIONS, "Operations by state.");
            metrics::describe_gauge!(HOLDS, "Whether work waits for the whole fleet, by the reason.");
            metrics::describe_gauge!(FINDINGS, "Open findings by severity.");
            metrics::describe_gauge!(WEBHOOKS, "Webhook endpoints that are enabled, and disabled by the reason.");
        });
        Self(Arc::new(recorder))
    }

    /// Notes a request.
    pub(crate) fn request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        metrics::with_local_recorder(&*self.0, || {
            histogram!(
                REQUEST_DURATION,
                "http_request_method" => method,
                "http_route" => route.to_owned(),
                "http_response_status_code" => status.to_string(),
            )
            .record(took);
        });
    }

    /// Notes how many operations are in each state; one that is not named has none.
    pub(crate) fn operations(&self, counts: &[(OperationState, i64)]) {
        metrics::with_local_recorder(&*self.0, || {
            for state in OperationState::ALL {
                let count = counts.iter().find(|(counted, _)| counted == state).map_or(0, |(_, count)| *count);
                #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 operations")]
                gauge!(OPERATIONS, "state" => state.as_str()).set(count as f64);
            }
        });
    }

    /// Notes which holds are in force.
    pub(crate) fn holds(&self, holds: &[FleetHold]) {
        metrics::with_local_recorder(&*self.0, || {
            for kind in HoldKind::ALL {
                let in_force = holds.iter().any(|hold| hold.kind == *kind);
                gauge!(HOLDS, "code" => kind.as_str()).set(if in_force { 1.0 } else { 0.0 });
            }
        });
    }

    /// Notes how many open findings there are of each severity; one that is not named has none.
    pub(crate) fn findings(&self, counts: &[(Severity, i64)]) {
        metrics::with_local_recorder(&*self.0, || {
            for severity in Severity::ALL {
                let count = counts.iter().find(|(counted, _)| counted == severity).map_or(0, |(_, count)| *count);
                #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 findings")]
                gauge!(FINDINGS, "severity" => severity.as_str()).set(count as f64);
            }
        });
    }

    /// Notes how many webhook endpoints are enabled, and how many disabled for which reason; a reason that is not named has none.
    pub(crate) fn webhooks(&self, counts: &[(Option<DisabledReason>, i64)]) {
        metrics::with_local_recorder(&*self.0, || {
            for reason in std::iter::once(None).chain(DisabledReason::ALL.iter().copied().map(Some)) {
                let count = counts.iter().find(|(counted, _)| *counted == reason).map_or(0, |(_, count)| *count);
                #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 endpoints")]
                gauge!(WEBHOOKS, "state" => reason.map_or("enabled", DisabledReason::as_str)).set(count as f64);
            }
        });
    }

    /// Everything, in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.0.handle().render()
    }

    /// Sums up what was noted since; without it, an API that nobody scrapes would keep every single measurement.
    pub(crate) fn run_upkeep(&self) {
        self.0.handle().run_upkeep();
    }
}
