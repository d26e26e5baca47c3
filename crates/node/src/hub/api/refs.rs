//! Branches and tags.

use super::request::{Asked, Target, json};
use crate::hub::{ApiError, Hub, Repository, Scope};
use assay_hub::{
    Fault, RefName,
    refs::MAIN,
    wire::{BranchBody, RefRows, TagBody},
};
use axum::{Json, body::Body, extract::State, http::HeaderMap};
use serde_json::{Value, json as value};
use std::sync::Arc;

type Shared = State<Arc<Hub>>;

/// Most refs of one repository.
const MAX_REFS: usize = 10_000;

pub(super) async fn list(
    State(hub): Shared,
    target: Target,
    Asked(query): Asked,
    headers: HeaderMap,
) -> Result<Json<RefRows>, ApiError> {
    hub.token(&headers)?;
    hub.blocking(move |hub| {
        let repository = target.repository(hub)?;
        let refs = hub.catalogue.refs(&repository.key())?;
        Ok(Json(RefRows::of(refs, query.says("include_prs"))))
    })
    .await
}

pub(super) async fn create_branch(
    State(hub): Shared,
    target: Target,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let repository = target.repository(&hub)?;
    hub.authorize(&headers, &repository, Scope::Write)?;
    let body: BranchBody = json(&hub, body).await?;
    let name = RefName::branch(target.rev())?;
    create(
        &hub,
        repository,
        name,
        body.starting_point.as_deref().unwrap_or(MAIN),
        &headers,
    )
    .await
}

pub(super) async fn create_tag(
    State(hub): Shared,
    target: Target,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let repository = target.repository(&hub)?;
    hub.authorize(&headers, &repository, Scope::Write)?;
    let body: TagBody = json(&hub, body).await?;
    let name = RefName::tag(&body.tag)?;
    create(&hub, repository, name, target.rev(), &headers).await
}

async fn create(
    hub: &Arc<Hub>,
    repository: Repository,
    name: RefName,
    from: &str,
    headers: &HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let grant = hub.writer(headers, repository.publisher)?;
    let at = hub.at(repository, from)?;
    let refs = hub.catalogue.refs(&at.repository.key())?;
    if refs.iter().any(|(known, _)| *known == name) {
        return Err(Fault::Exists {
            what: name.to_string(),
            url: None,
        }
        .into());
    }
    if refs.len() >= MAX_REFS {
        return Err(Fault::TooLarge(format!(
            "a repository has at most {MAX_REFS} branches and tags"
        ))
        .into());
    }
    hub.move_ref(&at.repository, name, Some(at.commit), &grant)
        .await?;
    Ok(Json(value!({})))
}

pub(super) async fn delete_branch(
    State(hub): Shared,
    target: Target,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let name = RefName::branch(target.rev())?;
    if name == RefName::main() {
        return Err(ApiError::bad_request(
            "the main branch stays as long as its repository",
        ));
    }
    remove(&hub, &target, name, &headers).await
}

pub(super) async fn delete_tag(
    State(hub): Shared,
    target: Target,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let name = RefName::tag(target.rev())?;
    remove(&hub, &target, name, &headers).await
}

async fn remove(
    hub: &Arc<Hub>,
    target: &Target,
    name: RefName,
    headers: &HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let repository = target.repository(hub)?;
    let grant = hub.writer(headers, repository.publisher)?;
    if hub.catalogue.head(&repository.key(), &name)?.is_none() {
        return Err(Fault::RevisionNotFound(name.short().to_owned()).into());
    }
    hub.move_ref(&repository, name, None, &grant).await?;
    Ok(Json(value!({})))
}
