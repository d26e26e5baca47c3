//! Who serves what, as this hub saw it.

use super::{ApiError, Hub};
use crate::fetch::REVISIONS_PATH;
use assay_receipt::RevisionId;
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Serialize;
use std::sync::Arc;

/// The routes.
pub fn routes() -> Router<Arc<Hub>> {
    Router::new()
        .route(
            &format!("{REVISIONS_PATH}/{{revision}}/standing"),
            get(standing),
        )
        .route("/assay/v1/hubs", get(hubs))
}

fn revision_id(text: &str) -> Result<RevisionId, ApiError> {
    text.parse().map_err(ApiError::bad_request)
}

/// Another hub and what this one saw of it.
#[derive(Debug, Clone, Serialize)]
pub struct HubStanding {
    /// Its address.
    pub hub: String,
    /// Its operator's account; empty where it is no longer registered.
    pub operator: String,
    /// Where it answers; empty where it is no longer registered.
    pub url: String,
    /// The latest that was seen of it; nothing where it was not asked yet.
    pub latest: Option<super::network::Observation>,
    /// The latest lie, if there was one.
    pub lied: Option<super::network::Observation>,
}

/// What this hub saw of others, of one revision. It is this hub's word.
async fn standing(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = revision_id(&id)?;
    Ok(Json(hub.standing_of(id)).into_response())
}

/// Another hub, as the chain has it.
#[derive(Debug, Serialize)]
struct OtherHub {
    hub: String,
    operator: String,
    url: String,
}

async fn hubs(State(hub): State<Arc<Hub>>) -> Response {
    let peers = hub.link.as_ref().map(|link| link.peers());
    let peers = peers.iter().flat_map(|peers| peers.iter());
    let others = peers.map(|peer| OtherHub {
        hub: peer.hub.to_string(),
        operator: peer.operator.to_string(),
        url: peer.url.clone(),
    });
    Json(others.collect::<Vec<_>>()).into_response()
}

impl Hub {
    /// Every other hub, with what this one saw of it, of one revision.
    pub fn standing_of(&self, revision: RevisionId) -> Vec<HubStanding> {
        let Some(link) = &self.link else {
            return Vec::new();
        };
        let entries = link.standing.of(revision);
        let peers = link.peers();
        let of = |hub| entries.iter().find(|entry| entry.latest.hub == hub);
        let known = peers.iter().map(|peer| HubStanding {
            hub: peer.hub.to_string(),
            operator: peer.operator.to_string(),
            url: peer.url.clone(),
            latest: of(peer.hub).map(|entry| entry.latest.clone()),
            lied: of(peer.hub).and_then(|entry| entry.lied.clone()),
        });
        let gone = entries
            .iter()
            .filter(|entry| peers.iter().all(|peer| peer.hub != entry.latest.hub));
        let gone = gone.map(|entry| HubStanding {
            hub: entry.latest.hub.to_string(),
            operator: String::new(),
            url: String::new(),
            latest: Some(entry.latest.clone()),
            lied: entry.lied.clone(),
        });
        known.chain(gone).collect()
    }
}
