//! Configuration in a support bundle: numbers, regions, account ids, and the names of residencies and tiers.

use serde::Serialize;

use crate::config::{CloseAccounts, Quotas, Timeouts, VendingApproval};
use crate::{AwsAccountId, Config, Region, ResidencyName, Tier};

/// Content of `config.json`: fields of the API process's configuration without secrets, addresses, URLs, paths and
/// parameter values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleConfig {
    pub management_account_id: AwsAccountId,
    pub freehold_account_id: AwsAccountId,
    /// Region of IAM Identity Center; `None` if it is that of the worker.
    pub identity_center_region: Option<Region>,
    pub residencies: Vec<BundleResidency>,
    pub tiers: Vec<BundleTier>,
    pub stack: BundleStack,
    pub timeouts: BundleTimeouts,
    pub quotas: BundleQuotas,
    pub offboarding: BundleOffboarding,
    pub reconcile: BundleReconcile,
    pub audit_retention_days: u32,
}

/// Residency with its regions, without its OU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleResidency {
    pub name: ResidencyName,
    pub regions: Vec<Region>,
    pub edge: bool,
}

/// Tier with its rules, without its permission set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleTier {
    pub name: Tier,
    pub requires_approval: bool,
    pub has_tenant_group: bool,
    pub front_door: bool,
}

/// Tenant stack, without its name, templates and parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleStack {
    pub has_own_template: bool,
    /// Regions with a template of their own.
    pub template_regions: Vec<Region>,
    /// Regions with a copy of the template in S3.
    pub copy_regions: Vec<Region>,
    /// Number of parameters, without names and values.
    pub parameters: usize,
}

/// Section `[timeouts]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields have the names of the configuration")]
pub struct BundleTimeouts {
    pub account_creation_seconds: u64,
    pub account_usable_seconds: u64,
    pub assignment_seconds: u64,
    pub stack_seconds: u64,
    pub region_opt_in_seconds: u64,
    pub propagation_seconds: u64,
    pub account_closure_seconds: u64,
}

/// Section `[quotas]` of the configuration, without rates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleQuotas {
    pub account_creations: u16,
    pub account_closures: u16,
    pub assignments: u16,
    pub permission_set_provisionings: u16,
    pub region_opt_ins: u16,
    pub region_opt_ins_per_account: u16,
    pub maintenance_delay_seconds: u64,
    pub throttle_recovery_seconds: u64,
    pub max_accounts: u32,
    pub max_accounts_per_day: u32,
}

/// Section `[offboarding]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleOffboarding {
    pub cooling_off_seconds: u64,
    /// Whether an account can be closed on request.
    pub closes_accounts: bool,
}

/// Section `[reconcile]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleReconcile {
    pub interval_seconds: u64,
    pub auto_repair: bool,
    pub max_repairs_per_run: usize,
}

impl From<&Config> for BundleConfig {
    fn from(config: &Config) -> Self {
        let residencies = config.residencies.iter().map(|residency| BundleResidency {
            name: residency.name.clone(),
            regions: residency.regions.clone(),
            edge: residency.edge,
        });
        let tiers = config.tiers.iter().map(|tier| BundleTier {
            name: tier.name.clone(),
            requires_approval: tier.approval == VendingApproval::Required,
            has_tenant_group: tier.tenant_group_permission_set.is_some(),
            front_door: tier.front_door,
        });
        Self {
            management_account_id: config.organization.management_account_id.clone(),
            freehold_account_id: config.organization.freehold_account_id.clone(),
            identity_center_region: config.identity_center.region,
            residencies: residencies.collect(),
            tiers: tiers.collect(),
            stack: BundleStack {
                has_own_template: config.stack.template.is_some(),
                template_regions: config.stack.region_templates.keys().copied().collect(),
                copy_regions: config.stack.template_urls.keys().copied().collect(),
                parameters: config.stack.parameters.len(),
            },
            timeouts: timeouts(&config.timeouts),
            quotas: quotas(&config.quotas),
            offboarding: BundleOffboarding {
                cooling_off_seconds: config.offboarding.cooling_off_seconds,
                closes_accounts: config.offboarding.close_accounts == CloseAccounts::OnRequest,
            },
            reconcile: BundleReconcile {
                interval_seconds: config.reconcile.interval_seconds,
                auto_repair: config.reconcile.auto_repair,
                max_repairs_per_run: config.reconcile.max_repairs_per_run,
            },
            audit_retention_days: config.audit.retention_days,
        }
    }
}

fn timeouts(timeouts: &Timeouts) -> BundleTimeouts {
    BundleTimeouts {
        account_creation_seconds: timeouts.account_creation_seconds,
        account_usable_seconds: timeouts.account_usable_seconds,
        assignment_seconds: timeouts.assignment_seconds,
        stack_seconds: timeouts.stack_seconds,
        region_opt_in_seconds: timeouts.region_opt_in_seconds,
        propagation_seconds: timeouts.propagation_seconds,
        account_closure_seconds: timeouts.account_closure_seconds,
    }
}

fn quotas(quotas: &Quotas) -> BundleQuotas {
    BundleQuotas {
        account_creations: quotas.account_creations,
        account_closures: quotas.account_closures,
        assignments: quotas.assignments,
        permission_set_provisionings: quotas.permission_set_provisionings,
        region_opt_ins: quotas.region_opt_ins,
        region_opt_ins_per_account: quotas.region_opt_ins_per_account,
        maintenance_delay_seconds: quotas.maintenance_delay_seconds,
        throttle_recovery_seconds: quotas.throttle_recovery_seconds,
        max_accounts: quotas.max_accounts,
        max_accounts_per_day: quotas.max_accounts_per_day,
    }
}
