//! The JSON API: everything that Hugging Face's clients ask for but content, and what only this network has.

mod info;
mod lists;
mod own;
mod refs;
mod repositories;
mod request;
mod tree;
mod upload;

pub(super) use request::Asked;

pub(in crate::hub) use info::{library_name, pipeline_tag, tags};

use super::Hub;
use axum::{
    Router,
    routing::{delete, get, post, put},
};
use std::sync::Arc;

/// Where a hub describes itself.
pub const HUB_PATH: &str = "/assay/v1/hub";
/// Where a hub's retention policy is.
pub const POLICY_PATH: &str = "/assay/v1/policy";
/// Where a hub's log of refusals is.
pub const REFUSALS_PATH: &str = "/assay/v1/refusals";

/// The routes of this part.
pub fn routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/api/whoami-v2", get(repositories::whoami))
        .route("/api/repos/create", post(repositories::create))
        .route("/api/repos/delete", delete(repositories::remove))
        .route("/api/repos/move", post(repositories::rename))
        .route("/api/validate-yaml", post(upload::validate_yaml))
        .route("/api/models-tags-by-type", get(lists::model_tags))
        .route("/api/datasets-tags-by-type", get(lists::dataset_tags))
        .route("/api/{kind}", get(lists::list))
        .route("/api/{kind}/{name}", get(info::without_namespace))
        .merge(repository("/api/{kind}/{namespace}/{name}"))
        .route(HUB_PATH, get(own::hub))
        .route(POLICY_PATH, get(own::policy))
        .route(REFUSALS_PATH, get(own::refusals).post(own::refuse))
        .route("/assay/v1/commits/{commit}", get(own::commit))
        .route("/assay/v1/revisions/{revision}", get(own::revision))
}

fn repository(at: &str) -> Router<Arc<Hub>> {
    let path = |rest: &str| format!("{at}{rest}");
    Router::new()
        .route(at, get(info::repository))
        .route(&path("/revision/{rev}"), get(info::repository))
        .route(&path("/tree/{rev}"), get(tree::list))
        .route(&path("/tree/{rev}/{*path}"), get(tree::list))
        .route(&path("/paths-info/{rev}"), post(tree::paths_info))
        .route(&path("/commits/{rev}"), get(tree::commits))
        .route(&path("/refs"), get(refs::list))
        .route(
            &path("/branch/{rev}"),
            post(refs::create_branch).delete(refs::delete_branch),
        )
        .route(
            &path("/tag/{rev}"),
            post(refs::create_tag).delete(refs::delete_tag),
        )
        .route(&path("/preupload/{rev}"), post(upload::preupload))
        .route(&path("/commit/{rev}"), post(upload::commit))
        .route(
            &path("/safetensors-metadata/{*path}"),
            get(info::safetensors_metadata),
        )
        .route(&path("/settings"), put(repositories::settings))
        .route(&path("/auth-check"), get(repositories::auth_check))
        .route(&path("/likers"), get(repositories::likers))
        .route(&path("/discussions"), post(repositories::discussions))
}
