//! Access to the Xet storage for one repository: tokens that a client gets for its own token, and that end soon.

use super::{
    Transfer,
    grant::{Right, StorageScope},
    serve::insert,
};
use crate::hub::{Hub, Scope, answer::ApiError, now_s};
use assay_hub::{Fault, Kind};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::json;
use std::sync::Arc;

/// How long a token is good, seconds: a client asks for the next one by itself.
const TOKEN_S: u64 = 15 * 60;

/// The routes.
pub fn routes() -> Router<Arc<Transfer>> {
    let mut router = Router::new();
    for kind in Kind::ALL {
        for (word, scope) in [("read", StorageScope::Read), ("write", StorageScope::Write)] {
            let path = format!(
                "/api/{}/{{namespace}}/{{name}}/xet-{word}-token/{{rev}}",
                kind.plural()
            );
            let handler = move |state, headers, at| async move {
                token(state, headers, at, (kind, scope)).await
            };
            router = router.route(&path, get(handler));
        }
    }
    router
}

/// The revision is not looked at: a write may make it, and reading is of what the hub serves at all.
async fn token(
    State(transfer): State<Arc<Transfer>>,
    headers: HeaderMap,
    Path((namespace, name, _)): Path<(String, String, String)>,
    (kind, scope): (Kind, StorageScope),
) -> Result<Response, ApiError> {
    let id = format!("{namespace}/{name}");
    let allow = move |hub: &Hub| {
        let repository = hub.repository(kind, &id)?;
        let needed = match scope {
            StorageScope::Read => Scope::Read,
            StorageScope::Write => Scope::Write,
        };
        hub.authorize(&headers, &repository, needed)?;
        Ok(repository)
    };
    let repository = transfer.hub.blocking(allow).await?.key();
    let ends_s = now_s().saturating_add(TOKEN_S);
    let repository = BASE64.encode(repository.bytes());
    let right = Right::Storage { scope, repository };
    let token = transfer
        .grants
        .sign(right, ends_s)
        .map_err(ApiError::internal)?;
    let endpoint = &transfer.hub.endpoint;
    let body = json!({ "casUrl": endpoint, "accessToken": token, "exp": ends_s });
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    insert(headers, HeaderName::from_static("x-xet-cas-url"), endpoint);
    insert(
        headers,
        HeaderName::from_static("x-xet-access-token"),
        &token,
    );
    headers.insert("x-xet-token-expiration", HeaderValue::from(ends_s));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Transfer {
    /// Lets pass who has a token of the storage for this scope; to write is to read, too.
    ///
    /// # Errors
    /// 401 without a good token, 403 with one for reading where it is to write.
    pub fn storage(&self, headers: &HeaderMap, scope: StorageScope) -> Result<(), ApiError> {
        let refused =
            |reason: &dyn ToString| ApiError::from(Fault::Unauthorized(reason.to_string()));
        let value = headers.get(header::AUTHORIZATION);
        let token = value.and_then(|value| value.to_str().ok());
        let token = token.and_then(|text| text.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| refused(&"a token of this storage is needed"))?;
        match self.grants.read(token.trim(), now_s()) {
            Ok((Right::Storage { scope: has, .. }, _)) => {
                if scope == StorageScope::Write && has == StorageScope::Read {
                    let reason = "the token is for reading; ask for one to write".to_owned();
                    return Err(Fault::Forbidden(reason).into());
                }
                Ok(())
            }
            Ok(_) => Err(refused(&"it is no token of this storage")),
            Err(error) => Err(refused(&error)),
        }
    }
}
