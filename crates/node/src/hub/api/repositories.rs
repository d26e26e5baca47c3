//! Who asks, and repositories as a whole: made, deleted, and why they are neither moved nor hidden.

use super::request::{Target, json};
use crate::hub::{ApiError, Hub, Scope, catalogue::key_of, commit::Draft};
use assay_hub::{
    Fault, Kind, Name, Namespace, RefName,
    operation::Header,
    time::rfc3339,
    wire::{AccessToken, Auth, Created, RepositoryBody, SettingsBody, WhoAmI, page_url},
};
use assay_receipt::Account;
use axum::{Json, body::Body, extract::State, http::HeaderMap};
use serde_json::{Value, json as value};
use std::sync::Arc;

/// Why nothing is private.
const PUBLIC: &str = "everything on this network is public: a private repository is not offered";
/// Why nothing is moved.
const FOR_EVER: &str =
    "names are for ever: publish under the new name, and leave the old one or delete it";

type Shared = State<Arc<Hub>>;

pub(super) async fn whoami(
    State(hub): Shared,
    headers: HeaderMap,
) -> Result<Json<WhoAmI>, ApiError> {
    let grant = hub
        .token(&headers)?
        .ok_or_else(|| Fault::Unauthorized("there is no token".into()))?;
    let publisher = Account::from(grant.publisher());
    let name = hub
        .catalogue
        .handle_of(publisher)?
        .map_or(publisher.to_string(), |handle| handle.to_string());
    Ok(Json(WhoAmI {
        what: "user",
        id: publisher.to_string(),
        fullname: name.clone(),
        name,
        orgs: Vec::new(),
        auth: Auth {
            what: "access_token",
            access_token: AccessToken {
                display_name: "delegation".into(),
                role: match grant.delegation().scope {
                    Scope::Read => "read",
                    Scope::Write => "write",
                },
                created_at: rfc3339(grant.delegation().salt),
            },
        },
    }))
}

/// The account and the name that a body means; the namespace is the asking account's where it has none.
fn meant(
    hub: &Hub,
    body: &RepositoryBody,
    own: Account,
) -> Result<(Kind, Account, Name), ApiError> {
    let kind = Kind::from_singular(body.kind.as_deref().unwrap_or(""))?;
    let (namespace, name) = match body.name.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (
            body.organization
                .as_deref()
                .filter(|namespace| !namespace.is_empty()),
            body.name.as_str(),
        ),
    };
    let name = Name::new(kind, name)?;
    let publisher = match namespace.map(str::parse).transpose()? {
        None => own,
        Some(Namespace::Account(account)) => account,
        Some(Namespace::Handle(handle)) => hub.catalogue.account_of(&handle)?.ok_or_else(|| {
            let reason = format!(
                "nobody claimed the handle {handle}; an address is a namespace without a claim"
            );
            ApiError::from(Fault::Forbidden(reason))
        })?,
    };
    Ok((kind, publisher, name))
}

fn check_public(visibility: Option<&str>, private: Option<bool>) -> Result<(), ApiError> {
    if private == Some(true) || visibility.is_some_and(|word| word != "public") {
        return Err(ApiError::bad_request(PUBLIC));
    }
    Ok(())
}

pub(super) async fn create(
    State(hub): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Created>, ApiError> {
    let own = hub
        .token(&headers)?
        .map(|grant| Account::from(grant.publisher()));
    let own = own.ok_or_else(|| Fault::Unauthorized("making a repository needs a token".into()))?;
    let body: RepositoryBody = json(&hub, body).await?;
    check_public(body.visibility.as_deref(), body.private)?;
    let (kind, publisher, name) = meant(&hub, &body, own)?;
    let grant = hub.writer(&headers, publisher)?;
    let key = key_of(kind, publisher, &name);
    let handle = hub
        .catalogue
        .handle_of(publisher)?
        .map_or(publisher.to_string(), |handle| handle.to_string());
    let id = format!("{handle}/{name}");
    hub.serves(&assay_hub::policy::Subject::Repository {
        kind,
        name: format!("{publisher}/{}", key.name),
    })?;
    let url = |shown: &str| page_url(&hub.endpoint, kind, shown);
    let exists = |url: String| Fault::Exists {
        what: "the repository".into(),
        url: Some(url),
    };
    if let Some(known) = hub.catalogue.repository(&key)? {
        return Err(exists(url(&known.id())).into());
    }
    let draft = Draft {
        key,
        shown: name,
        branch: RefName::main(),
        header: Header {
            title: "initial commit".into(),
            message: String::new(),
            parent: None,
        },
        steps: Vec::new(),
        is_first: true,
    };
    hub.commit(draft, &grant)
        .await
        .map_err(|error| match *error.0 {
            Fault::Exists { .. } => exists(url(&id)).into(),
            _ => error,
        })?;
    Ok(Json(Created {
        url: url(&id),
        name: id.clone(),
        id,
    }))
}

pub(super) async fn remove(
    State(hub): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let own = hub
        .token(&headers)?
        .map(|grant| Account::from(grant.publisher()));
    let own =
        own.ok_or_else(|| Fault::Unauthorized("deleting a repository needs a token".into()))?;
    let body: RepositoryBody = json(&hub, body).await?;
    let (kind, publisher, name) = meant(&hub, &body, own)?;
    let grant = hub.writer(&headers, publisher)?;
    let repository = hub.catalogue.repository(&key_of(kind, publisher, &name))?;
    let repository = repository.ok_or_else(|| Fault::RepositoryNotFound(body.name.clone()))?;
    hub.move_ref(&repository, RefName::main(), None, &grant)
        .await?;
    Ok(Json(value!({})))
}

pub(super) async fn rename(
    State(hub): Shared,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    hub.token(&headers)?
        .ok_or_else(|| Fault::Unauthorized("there is no token".into()))?;
    Err(ApiError::bad_request(FOR_EVER))
}

pub(super) async fn settings(
    State(hub): Shared,
    target: Target,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let repository = target.repository(&hub)?;
    hub.authorize(&headers, &repository, Scope::Write)?;
    let body: SettingsBody = json(&hub, body).await?;
    check_public(body.visibility.as_deref(), body.private)?;
    if body
        .gated
        .is_some_and(|gated| !matches!(gated, Value::Null | Value::Bool(false)))
    {
        return Err(ApiError::bad_request(
            "everything on this network is public: gates are not offered",
        ));
    }
    Ok(Json(
        value!({"private": false, "visibility": "public", "gated": false}),
    ))
}

pub(super) async fn auth_check(
    State(hub): Shared,
    target: Target,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let repository = target.repository(&hub)?;
    hub.authorize(&headers, &repository, Scope::Read)?;
    Ok(Json(value!({})))
}

/// Nobody: a like costs nothing and says nothing, so this hub takes none.
pub(super) async fn likers(
    State(hub): Shared,
    target: Target,
) -> Result<Json<Vec<Value>>, ApiError> {
    target.repository(&hub)?;
    Ok(Json(Vec::new()))
}

pub(super) async fn discussions(
    State(hub): Shared,
    target: Target,
) -> Result<Json<Value>, ApiError> {
    target.repository(&hub)?;
    Err(ApiError::bad_request(
        "this hub has no pull requests and no discussions: commit to a branch",
    ))
}
