//! Validation of quotas, rates, timeouts, durations and intervals.

use std::ops::RangeInclusive;

use super::Problems;
use crate::config::{Config, Quotas};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// Maximum cooling-off period in seconds. An account that must be kept for longer should not be offboarded yet.
const MAX_COOLING_OFF: u64 = 366 * DAY;

/// Maximum configurable number of calls per second. It is higher than every rate that AWS publishes.
const MAX_PER_SECOND: f64 = 10_000.0;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    quotas(config, problems);
    api_limits(config, problems);
    let (timeouts, expected) = (&config.timeouts, &config.expected_durations);
    for (name, timeout) in [
        ("account_creation_seconds", timeouts.account_creation_seconds),
        ("account_usable_seconds", timeouts.account_usable_seconds),
        ("assignment_seconds", timeouts.assignment_seconds),
        ("stack_seconds", timeouts.stack_seconds),
        ("region_opt_in_seconds", timeouts.region_opt_in_seconds),
        ("propagation_seconds", timeouts.propagation_seconds),
        ("account_closure_seconds", timeouts.account_closure_seconds),
    ] {
        in_range(problems, &format!("timeouts.{name}"), timeout, 1..=30 * DAY);
    }
    // No step of its own waits for a verification, so it has no timeout.
    in_range(problems, "expected_durations.verification_seconds", expected.verification_seconds, 1..=DAY);
    for (name, usual, timeout_name, timeout) in [
        (
            "account_creation_seconds",
            expected.account_creation_seconds,
            "account_creation",
            timeouts.account_creation_seconds,
        ),
        ("account_usable_seconds", expected.account_usable_seconds, "account_usable", timeouts.account_usable_seconds),
        ("baseline_stack_seconds", expected.baseline_stack_seconds, "stack", timeouts.stack_seconds),
        ("tenant_stack_seconds", expected.tenant_stack_seconds, "stack", timeouts.stack_seconds),
        ("front_door_stack_seconds", expected.front_door_stack_seconds, "stack", timeouts.stack_seconds),
        ("assignment_seconds", expected.assignment_seconds, "assignment", timeouts.assignment_seconds),
        ("region_opt_in_seconds", expected.region_opt_in_seconds, "region_opt_in", timeouts.region_opt_in_seconds),
        (
            "account_closure_seconds",
            expected.account_closure_seconds,
            "account_closure",
            timeouts.account_closure_seconds,
        ),
        ("propagation_seconds", expected.propagation_seconds, "propagation", timeouts.propagation_seconds),
    ] {
        let field = format!("expected_durations.{name}");
        if usual == 0 {
            problems.add(field, "must be at least 1");
        } else if usual > timeout {
            problems
                .add(field, format_args!("must be at most timeouts.{timeout_name}_seconds ({timeout}), not {usual}"));
        }
    }
    in_range(problems, "offboarding.cooling_off_seconds", config.offboarding.cooling_off_seconds, 0..=MAX_COOLING_OFF);
    if config.reconcile.interval_seconds > 0 {
        in_range(problems, "reconcile.interval_seconds", config.reconcile.interval_seconds, 60..=7 * DAY);
    }
    in_range(problems, "audit.anchor_interval_seconds", config.audit.anchor_interval_seconds, 1..=7 * DAY);
    in_range(problems, "audit.retention_days", config.audit.retention_days.into(), 1..=36_600);
}

fn quotas(config: &Config, problems: &mut Problems) {
    let quotas = &config.quotas;
    for (name, value) in [
        ("account_creations", quotas.account_creations),
        ("account_closures", quotas.account_closures),
        ("assignments", quotas.assignments),
        ("permission_set_provisionings", quotas.permission_set_provisionings),
        ("region_opt_ins", quotas.region_opt_ins),
        ("region_opt_ins_per_account", quotas.region_opt_ins_per_account),
    ] {
        in_range(problems, &format!("quotas.{name}"), value.into(), 1..=1_000);
    }
    in_range(problems, "quotas.maintenance_delay_seconds", quotas.maintenance_delay_seconds, 0..=DAY);
    in_range(problems, "quotas.throttle_recovery_seconds", quotas.throttle_recovery_seconds, 1..=DAY);
    for (api, rate) in &quotas.rates {
        let field = format!("quotas.rates.{api}");
        if !Quotas::has_bucket(api) {
            problems.add(
                &field,
                "must be an AWS call or service that Freehold uses, such as `organizations:CreateAccount` or `sts`",
            );
        }
        if !(rate.per_second > 0.0 && rate.per_second <= MAX_PER_SECOND) {
            problems.add(&field, format_args!("per_second must be greater than 0 and at most {MAX_PER_SECOND}"));
        }
        if rate.burst == 0 {
            problems.add(&field, "burst must be at least 1");
        }
    }
}

/// Checks `[api.limits]`. A body must be read before the time limit of a request, 30 seconds.
fn api_limits(config: &Config, problems: &mut Problems) {
    let limits = &config.api.limits;
    for (name, value, range) in [
        ("header_timeout_seconds", limits.header_timeout_seconds, 1..=60),
        ("body_timeout_seconds", limits.body_timeout_seconds, 1..=25),
        ("idle_timeout_seconds", limits.idle_timeout_seconds, 1..=HOUR),
        ("response_stall_seconds", limits.response_stall_seconds, 1..=HOUR),
        // The HTTP library needs 8 KiB at least.
        ("max_header_bytes", limits.max_header_bytes.into(), 8 * 1024..=1024 * 1024),
        ("max_http2_streams", limits.max_http2_streams.into(), 1..=1_000),
        ("max_connections", limits.max_connections.into(), 1..=1_000_000),
        ("max_connections_per_address", limits.max_connections_per_address.into(), 0..=1_000_000),
        ("max_streams", limits.max_streams.into(), 1..=1_000_000),
        ("max_stream_seconds", limits.max_stream_seconds, 1..=DAY),
    ] {
        in_range(problems, &format!("api.limits.{name}"), value, range);
    }
    // Ordinary requests need connections too.
    if limits.max_streams > limits.max_connections {
        let most = limits.max_connections;
        problems.add("api.limits.max_streams", format_args!("must be at most max_connections ({most})"));
    }
    if !(1..=limits.max_streams).contains(&limits.max_streams_per_client) {
        let most = limits.max_streams;
        problems.add("api.limits.max_streams_per_client", format_args!("must be from 1 to max_streams ({most})"));
    }
}

fn in_range(problems: &mut Problems, field: &str, value: u64, range: RangeInclusive<u64>) {
    if !range.contains(&value) {
        let (least, most) = (range.start(), range.end());
        problems.add(field, format_args!("must be from {least} to {most}, not {value}"));
    }
}
