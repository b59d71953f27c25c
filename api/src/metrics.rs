//! Prometheus metrics of the API, with the names and units of OpenTelemetry's conventions for HTTP servers.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::audit::AuditStatus;
use freehold_tenancy::finding::Severity;
use freehold_tenancy::fleet_hold::{FleetHold, HoldKind};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::vending::{VendingStatus, VendingStop, VendingStopCode};
use freehold_tenancy::webhook::DisabledReason;
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

const REQUEST_DURATION_METRIC: &str = "http_server_request_duration_seconds";
const OPERATIONS_METRIC: &str = "freehold_operations";
const FLEET_HOLDS_METRIC: &str = "freehold_fleet_holds";
const VENDING_STOPPED_METRIC: &str = "freehold_vending_stopped";
const FINDINGS_METRIC: &str = "freehold_findings";
const ACCOUNT_LIMIT_REFUSALS_METRIC: &str = "freehold_account_limit_refusals_total";
const WEBHOOK_ENDPOINTS_METRIC: &str = "freehold_webhook_endpoints";
const CONNECTIONS_METRIC: &str = "freehold_api_connections";
const CLOSED_CONNECTIONS_METRIC: &str = "freehold_api_connections_closed_total";
const STREAMS_METRIC: &str = "freehold_api_streams";
const REFUSALS_METRIC: &str = "freehold_api_refusals_total";
const AUDIT_PENDING_AGE_METRIC: &str = "freehold_audit_pending_age_seconds";
const AUDIT_STRAYS_METRIC: &str = "freehold_audit_strays";

/// Histogram bucket bounds in seconds, as OpenTelemetry recommends for HTTP servers ("Semantic conventions for HTTP
/// metrics").
const REQUEST_DURATION_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Metrics recorder of one API instance. Several API instances in one process have separate recorders.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<PrometheusRecorder>);

impl Metrics {
    pub(crate) fn new() -> Self {
        let builder = PrometheusBuilder::new();
        // `set_buckets` fails only for an empty list.
        let builder = builder.set_buckets(&REQUEST_DURATION_BUCKETS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_histogram!(
                REQUEST_DURATION_METRIC,
                "Time from the request to the start of its response."
            );
            metrics::describe_gauge!(OPERATIONS_METRIC, "Operations by state.");
            metrics::describe_gauge!(FLEET_HOLDS_METRIC, "Fleet holds in force (1) or not (0), by code.");
            metrics::describe_gauge!(
                VENDING_STOPPED_METRIC,
                "Reasons why no account is created, in force (1) or not (0), by code."
            );
            metrics::describe_counter!(
                ACCOUNT_LIMIT_REFUSALS_METRIC,
                "Requests for accounts that were refused because of the daily limit of the client."
            );
            // The series exists from the start, so that an alert sees the first refusal.
            counter!(ACCOUNT_LIMIT_REFUSALS_METRIC).increment(0);
            metrics::describe_gauge!(FINDINGS_METRIC, "Open findings by severity.");
            metrics::describe_gauge!(
                WEBHOOK_ENDPOINTS_METRIC,
                "Webhook endpoints by state: enabled, or the reason why they were disabled."
            );
            metrics::describe_gauge!(CONNECTIONS_METRIC, "Open connections.");
            metrics::describe_counter!(CLOSED_CONNECTIONS_METRIC, "Connections closed by the server, by reason.");
            metrics::describe_gauge!(STREAMS_METRIC, "Open event streams and waiting feed requests.");
            metrics::describe_counter!(REFUSALS_METRIC, "Connections and requests refused by a limit, by limit.");
            metrics::describe_gauge!(
                AUDIT_PENDING_AGE_METRIC,
                "Age of the oldest audit entry that is not chained yet; 0 if there is none."
            );
            metrics::describe_gauge!(
                AUDIT_STRAYS_METRIC,
                "Rows that were found in the audit tables but were not written by Freehold."
            );
        });
        Self(Arc::new(recorder))
    }

    pub(crate) fn record_request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        metrics::with_local_recorder(&*self.0, || {
            histogram!(
                REQUEST_DURATION_METRIC,
                "http_request_method" => method,
                "http_route" => route.to_owned(),
                "http_response_status_code" => status.to_string(),
            )
            .record(took);
        });
    }

    /// Counts a request that was refused because of the daily limit of accounts.
    pub(crate) fn record_account_limit_refusal(&self) {
        metrics::with_local_recorder(&*self.0, || counter!(ACCOUNT_LIMIT_REFUSALS_METRIC).increment(1));
    }

    /// Records the number of operations per state. A state that is missing in `counts` is recorded as 0.
    pub(crate) fn record_operations(&self, counts: &[(OperationState, i64)]) {
        metrics::with_local_recorder(&*self.0, || {
            for state in OperationState::ALL {
                let count = counts.iter().find(|(counted, _)| counted == state).map_or(0, |(_, count)| *count);
                #[expect(clippy::cast_precision_loss, reason = "an installation has fewer than 2^52 operations")]
                gauge!(OPERATIONS_METRIC, "state" => state.as_str()).set(count as f64);
            }
        });
    }

    /// Records the active fleet holds.
    pub(crate) fn record_fleet_holds(&self, holds: &[FleetHold]) {
        metrics::with_local_recorder(&*self.0, || {
            for kind in HoldKind::ALL {
                let is_active = holds.iter().any(|hold| hold.kind == *kind);
                gauge!(FLEET_HOLDS_METRIC, "code" => kind.as_str()).set(if is_active { 1.0 } else { 0.0 });
            }
        });
    }

    /// Records the reason why no account is created, if there is one.
    pub(crate) fn record_vending(&self, status: &VendingStatus) {
        metrics::with_local_recorder(&*self.0, || {
            let stopped_by = status.stop.as_ref().map(VendingStop::code);
            for code in VendingStopCode::ALL {
                let is_stopped = stopped_by == Some(*code);
                gauge!(VENDING_STOPPED_METRIC, "code" => code.as_str()).set(if is_stopped { 1.0 } else { 0.0 });
            }
        });
    }

    /// Records the number of open findings per severity. A severity that is missing in `counts` is recorded as 0.
    pub(crate) fn record_findings(&self, counts: &[(Severity, i64)]) {
        metrics::with_local_recorder(&*self.0, || {
            for severity in Severity::ALL {
                let count = counts.iter().find(|(counted, _)| counted == severity).map_or(0, |(_, count)| *count);
                #[expect(clippy::cast_precision_loss, reason = "an installation has fewer than 2^52 findings")]
                gauge!(FINDINGS_METRIC, "severity" => severity.as_str()).set(count as f64);
            }
        });
    }

    /// Records the number of webhook endpoints per state, which is `None` (enabled) or the reason for disabling.
    pub(crate) fn record_webhook_endpoints(&self, counts: &[(Option<DisabledReason>, i64)]) {
        metrics::with_local_recorder(&*self.0, || {
            for reason in std::iter::once(None).chain(DisabledReason::ALL.iter().copied().map(Some)) {
                let count = counts.iter().find(|(counted, _)| *counted == reason).map_or(0, |(_, count)| *count);
                #[expect(clippy::cast_precision_loss, reason = "an installation has fewer than 2^52 endpoints")]
                gauge!(WEBHOOK_ENDPOINTS_METRIC, "state" => reason.map_or("enabled", DisabledReason::as_str))
                    .set(count as f64);
            }
        });
    }

    pub(crate) fn record_connections(&self, count: u32) {
        metrics::with_local_recorder(&*self.0, || gauge!(CONNECTIONS_METRIC).set(f64::from(count)));
    }

    /// Counts a connection that the server has closed because of a time limit.
    pub(crate) fn count_closed_connection(&self, reason: &'static str) {
        metrics::with_local_recorder(&*self.0, || {
            counter!(CLOSED_CONNECTIONS_METRIC, "reason" => reason).increment(1);
        });
    }

    pub(crate) fn record_streams(&self, count: u32) {
        metrics::with_local_recorder(&*self.0, || gauge!(STREAMS_METRIC).set(f64::from(count)));
    }

    /// Counts a connection or a request that was refused because of `limit`, a field of the configuration.
    pub(crate) fn count_refusal(&self, limit: &'static str) {
        metrics::with_local_recorder(&*self.0, || counter!(REFUSALS_METRIC, "limit" => limit).increment(1));
    }

    /// Records the state of the audit tables at `now`.
    pub(crate) fn record_audit(&self, status: &AuditStatus, now: DateTime<Utc>) {
        metrics::with_local_recorder(&*self.0, || {
            let age = status.pending_since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0));
            gauge!(AUDIT_PENDING_AGE_METRIC).set(age);
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 rows can be inserted")]
            gauge!(AUDIT_STRAYS_METRIC).set(status.strays as f64);
        });
    }

    /// Returns all metrics in the Prometheus text format.
    pub(crate) fn render(&self) -> String {
        self.0.handle().render()
    }

    /// Aggregates recent samples. Without aggregation, an API that is never scraped would keep all samples.
    pub(crate) fn run_upkeep(&self) {
        self.0.handle().run_upkeep();
    }
}
