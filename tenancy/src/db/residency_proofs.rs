//! Stores the residency proofs of environments. A worker inserts a proof together with the result of its step, and
//! proofs are never changed.

use sqlx::PgConnection;

use super::{PgPool, Result};
use crate::residency_proof::SignedProof;
use crate::{EnvironmentId, EnvironmentName, OperationId, TenantId};

/// Latest proof of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestProof {
    pub environment: EnvironmentId,
    pub operation: OperationId,
    pub proof: SignedProof,
}

/// Result of [`latest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LatestResult {
    Found(Box<LatestProof>),
    /// No proof of the environment was ever written.
    NoProof,
    /// The tenant has no environment with this name.
    NoEnvironment,
}

/// Inserts a proof that a worker has signed in this operation.
pub(super) async fn insert(tx: &mut PgConnection, operation: OperationId, proof: &SignedProof) -> Result<()> {
    sqlx::query!(
        r#"/* db::residency_proofs::insert */
        insert into residency_proofs (operation_id, environment_id, observed_at, conforms, key_id, jws)
        select id, environment_id, $2, $3, $4, $5 from operations where id = $1
        on conflict (operation_id) do nothing"#,
        operation.as_uuid(),
        proof.observed_at,
        proof.conforms,
        proof.key_id,
        proof.jws,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the latest proof of the environment `name` of a tenant.
pub async fn latest(pool: &PgPool, tenant: TenantId, name: &EnvironmentName) -> Result<LatestResult> {
    // The name of an offboarded environment can be used again.
    let row = sqlx::query!(
        r#"/* db::residency_proofs::latest */
        select e.id as environment_id, p.operation_id as "operation_id?", p.observed_at as "observed_at?",
            p.conforms as "conforms?", p.key_id as "key_id?", p.jws as "jws?"
        from environments e
        left join lateral (
            select operation_id, observed_at, conforms, key_id, jws from residency_proofs
            where environment_id = e.id order by observed_at desc, operation_id desc limit 1
        ) p on true
        where e.tenant_id = $1 and e.name = $2 order by e.id desc limit 1"#,
        tenant.as_uuid(),
        name.as_str(),
    );
    let Some(row) = row.fetch_optional(pool).await? else { return Ok(LatestResult::NoEnvironment) };
    let environment = row.environment_id.into();
    let fields = (row.operation_id, row.observed_at, row.conforms, row.key_id, row.jws);
    Ok(match fields {
        (Some(operation), Some(observed_at), Some(conforms), Some(key_id), Some(jws)) => {
            let proof = SignedProof { observed_at, conforms, key_id, jws };
            LatestResult::Found(Box::new(LatestProof { environment, operation: operation.into(), proof }))
        }
        _ => LatestResult::NoProof,
    })
}
