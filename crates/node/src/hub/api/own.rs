//! What only this network has: the hub's own description, its policy, what it refuses, and objects by their ids.

use super::request::{Asked, Target, json};
use crate::hub::{ApiError, Hub, now_ms};
use assay_hub::{
    CommitId, Fault,
    listing::limit,
    policy::{Refusal, Retention, Signed, Subject},
    wire::HubRow,
};
use assay_receipt::{Account, RevisionId};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, header},
};
use serde::Deserialize;
use std::sync::Arc;

type Shared = State<Arc<Hub>>;

/// Rows of a page of refusals.
const PAGE: usize = 1_000;

pub(super) async fn hub(State(hub): Shared) -> Json<HubRow> {
    Json(HubRow {
        hub: hub.key.address(),
        operator: hub.operator,
        endpoint: hub.endpoint.clone(),
        anchor: hub.anchor.name().into(),
        chain_id: hub.domain.chain_id(),
        network: hub.domain.network(),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

pub(super) async fn policy(State(hub): Shared) -> Result<Json<Signed<Retention>>, ApiError> {
    Ok(Json(Signed::new(hub.retention.clone(), &hub.key)?))
}

pub(super) async fn refusals(
    State(hub): Shared,
    Asked(query): Asked,
) -> Result<Json<Vec<Signed<Refusal>>>, ApiError> {
    let from = match query.first("from") {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::bad_request("from is no sequence number"))?,
    };
    let most = limit(&query, PAGE, PAGE)?;
    hub.blocking(move |hub| Ok(Json(hub.catalogue.refusals(from, most)?)))
        .await
}

/// Body of a refusal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefuseBody {
    subject: Subject,
    reason: String,
    #[serde(default)]
    withdrawn: bool,
}

/// The operator, by a token of the operator's account, refuses to serve something, or serves it again.
pub(super) async fn refuse(
    State(hub): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Signed<Refusal>>, ApiError> {
    let grant = hub
        .token(&headers)?
        .ok_or_else(|| Fault::Unauthorized("refusing needs the operator's token".into()))?;
    grant.check_write()?;
    if Account::from(grant.publisher()) != hub.operator {
        return Err(Fault::Forbidden("only this hub's operator refuses here".into()).into());
    }
    let body: RefuseBody = json(&hub, body).await?;
    hub.blocking(move |hub| {
        let subject = hub.subject(body.subject)?;
        let refusal = Refusal {
            date_ms: now_ms(),
            reason: body.reason,
            sequence: 0,
            subject,
            withdrawn: body.withdrawn,
        };
        refusal.check()?;
        let signed = hub.catalogue.refuse(|sequence| {
            let signed = Signed::new(
                Refusal {
                    sequence,
                    ..refusal
                },
                &hub.key,
            );
            signed.map_err(|error| crate::Error::Catalogue(error.to_string()))
        })?;
        hub.read_withheld()?;
        Ok(Json(signed))
    })
    .await
}

/// The canonical bytes of a commit, of which its id is.
pub(super) async fn commit(
    State(hub): Shared,
    target: Target,
) -> Result<([(HeaderName, &'static str); 1], Vec<u8>), ApiError> {
    let missing = || ApiError::from(Fault::NotFound("there is no such commit here".into()));
    let id: CommitId = target.named("commit").parse().map_err(|_| missing())?;
    let bytes = hub
        .blocking(move |hub| Ok(hub.catalogue.commit_bytes(&id)?))
        .await?;
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        bytes.ok_or_else(missing)?,
    ))
}

/// The canonical bytes of a revision's manifest, of which its id is.
pub(super) async fn revision(
    State(hub): Shared,
    target: Target,
) -> Result<([(HeaderName, &'static str); 1], Vec<u8>), ApiError> {
    let missing = || ApiError::from(Fault::NotFound("there is no such revision here".into()));
    let id: RevisionId = target.named("revision").parse().map_err(|_| missing())?;
    let bytes = hub
        .blocking(move |hub| {
            hub.serves(&Subject::Revision { id })?;
            match hub.catalogue.revision(&id)? {
                Some(revision) => hub.content(&revision.manifest),
                None => Ok(None),
            }
        })
        .await?;
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        bytes.ok_or_else(missing)?,
    ))
}
