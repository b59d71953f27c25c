//! Domain types, their states and all SQL statements of Freehold. This crate has no HTTP server and makes no AWS
//! calls.

pub mod access_grant;
pub mod account_mapping;
pub mod approval;
pub mod attention;
mod attention_code;
pub mod audit;
pub mod aws;
pub mod baseline;
pub mod change_freeze;
pub mod clock;
pub mod config;
pub mod customer_sentence;
pub mod db;
pub mod environment;
pub mod environment_pin;
pub mod environment_stack;
pub mod event;
pub mod excerpt;
pub mod feed;
pub mod finding;
pub mod fleet_hold;
pub mod front_door;
pub mod ids;
pub mod jitter;
pub mod maintenance_window;
pub mod needed_types;
pub mod operation;
pub mod quota;
pub mod recovery;
pub mod region;
pub mod release;
pub mod replica;
pub mod requester;
pub mod residency_proof;
pub mod rollout;
mod scram;
pub mod secrets;
pub mod step;
mod string_enum;
pub mod support_bundle;
pub mod tenant;
pub mod text;
pub mod token_bucket;
pub mod trace;
pub mod unicode;
pub mod vending;
pub mod wait_estimate;
pub mod wait_reason;
pub mod webhook;

pub use clock::Clock;
pub use config::Config;
pub use ids::{
    AccessGrantId, ApprovalId, EnvironmentId, FindingId, InstallationId, MappingId, OperationId, ReleaseId, RolloutId,
    TenantId, WebhookDeliveryId, WebhookEndpointId, WorkerId,
};
pub use region::Region;
pub use text::{
    AwsAccountId, CompanyName, EmailAddress, EnvironmentName, ExternalId, PlanName, ResidencyName, Tier, WaveName,
};
