//! REST API of Freehold. It uses the database and verifies the callers' tokens; it has no AWS SDK and no AWS
//! credentials.
//!
//! [`router`](mod@router) lists every route with its policy. A request passes through the [`middleware`] (request id,
//! logging, timeout, error responses), the stages of the [`pipeline`] and then its route handler, which first parses
//! the request into the types of `freehold_tenancy`.

mod app;
mod audit;
mod auth;
mod console;
mod detached;
mod etag;
mod export;
mod extract;
#[doc(hidden)]
pub mod fuzzing;
mod http_server;
mod idempotency;
mod metrics;
mod middleware;
mod openapi;
mod pagination;
mod pipeline;
mod problem;
mod route_policy;
mod router;
mod routes;
mod scope;
mod server;
mod stream_limiter;
mod support_bundle;
mod tenant_view;
mod watcher;

pub use app::{App, AppError};
pub use auth::{IssuersError, KeysError, UnknownScope, config_problems};
pub use http_server::{required_file_handles, serve_router};
pub use router::{openapi, openapi_json, router};
pub use scope::Scope;
pub use server::{serve, serve_metrics};

/// Schemas of request and response bodies.
pub mod schema {
    pub use freehold_tenancy::feed::{FeedEvent, FeedEventData};

    pub use crate::problem::{FieldError, Problem};
    pub use crate::routes::access_review::{
        AccessApproval, AccessEntry, AccessFinding, AccessOperation, AccessPrincipal, AccessReviewPage,
    };
    pub use crate::routes::account_mappings::{AccountHistory, AccountMapping, AccountMappingPage};
    pub use crate::routes::approvals::{ApprovalDecision, ApprovalPage};
    pub use crate::routes::audit::{AuditEvent, AuditEventPage, AuditHead};
    pub use crate::routes::baseline_upgrades::BaselineUpgrade;
    pub use crate::routes::change_freeze::{ChangeFreeze, FreezeRequest};
    pub use crate::routes::environments::{EnvironmentPatch, NewEnvironment, NewEnvironmentPreview};
    pub use crate::routes::events::FeedEventPage;
    pub use crate::routes::findings::{Finding, FindingPage};
    pub use crate::routes::fleet_holds::{FleetHold, FleetHoldList};
    pub use crate::routes::health::Health;
    pub use crate::routes::home_moves::{HomeMove, NewHome};
    pub use crate::routes::legal_hold::LegalHold;
    pub use crate::routes::maintenance_windows::MaintenanceWindow;
    pub use crate::routes::operation_events::OperationEvent;
    pub use crate::routes::operations::OperationPage;
    pub use crate::routes::operations::actions::{AdoptRequest, RetryRequest};
    pub use crate::routes::pins::PinRequest;
    pub use crate::routes::regions::{AwsRegion, AwsRegionList, MissingResourceType};
    pub use crate::routes::releases::schema::{
        NewPreview, NewRelease, NewUpdate, Release, ReleaseApproval, ReleaseDiff, ReleaseOperation, ReleasePage,
        ReleaseRegion, ReleaseRegionPage, ReleaseUrl,
    };
    pub use crate::routes::residency_proofs::{ResidencyProof, ResidencyProofKeys};
    pub use crate::routes::rollouts::schema::{
        LeftOutEnvironment, NewRollout, NewWave, ReleaseCount, Rollout, RolloutChange, RolloutEnvironment,
        RolloutEnvironmentPage, RolloutFailure, RolloutPage, RolloutPreview, RolloutPromotion, RolloutWave,
        WaveApproval, WavePreview, WaveSelection,
    };
    pub use crate::routes::schema::approval::ApprovalDetails;
    pub use crate::routes::schema::operation::{Approval, Attention, Operation, OperationHold, Queue, Step};
    pub use crate::routes::schema::tenant::{
        Environment, EnvironmentPin, EnvironmentRegion, FrontDoor, OpenFinding, Suspension, Tenant,
    };
    pub use crate::routes::search::{SearchHit, SearchResult};
    pub use crate::routes::suspension::{ResumeRequest, SuspendRequest};
    pub use crate::routes::tenants::{Collision, EnvironmentPreview, Signup, SignupPreview, TenantPage, TenantPatch};
    pub use crate::routes::vending::{PauseRequest, Vending, VendingPause};
    pub use crate::routes::webhooks::deliveries::{
        ReplayRequest, ReplayResult, WebhookAttempt, WebhookDelivery, WebhookDeliveryPage,
    };
    pub use crate::routes::webhooks::endpoints::{NewWebhookEndpoint, WebhookEndpoint, WebhookEndpointPage};
    pub use crate::routes::webhooks::update::WebhookEndpointPatch;
    pub use crate::support_bundle::{BundleContents, BundleFile, LeftOutData};
}
