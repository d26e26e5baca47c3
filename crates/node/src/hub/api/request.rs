//! What is read of requests: paths, queries, bodies.

use crate::{
    http::BODY_TIMEOUT,
    hub::{ApiError, Hub, Repository},
    memory::Text,
};
use assay_hub::{Fault, Kind, query::Query};
use axum::{
    body::Body,
    extract::{FromRequestParts, Path},
    http::{HeaderValue, header, request::Parts},
};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use std::{collections::HashMap, sync::Arc};
use tokio::time::timeout;

/// Largest body of JSON, bytes: the questions of clients; commits have a limit of their own.
pub const MAX_JSON: usize = 4 << 20;

/// The parts of a path that names a repository or a list of them.
#[derive(Debug, Clone)]
pub struct Target {
    parts: HashMap<String, String>,
}

impl Target {
    fn part(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", String::as_str)
    }

    /// What it holds.
    ///
    /// # Errors
    /// [`Fault::NotFound`] for a word that is none of the API's, [`Fault::BadRequest`] for spaces.
    pub fn kind(&self) -> Result<Kind, ApiError> {
        let word = self.part("kind");
        Kind::from_plural(word).map_err(|error| match error {
            assay_hub::Error::Spaces => error.into(),
            _ => Fault::NotFound("nothing is served at this address".into()).into(),
        })
    }

    /// What clients call it.
    pub fn id(&self) -> String {
        match self.part("namespace") {
            "" => self.part("name").to_owned(),
            namespace => format!("{namespace}/{}", self.part("name")),
        }
    }

    /// The revision, or the name of a ref; the main branch where the path names none.
    pub fn rev(&self) -> &str {
        match self.part("rev") {
            "" => assay_hub::refs::MAIN,
            rev => rev,
        }
    }

    /// The path within the repository; empty for its root.
    pub fn path(&self) -> &str {
        self.part("path")
    }

    /// The last part, whatever it names.
    pub fn named(&self, name: &str) -> &str {
        self.part(name)
    }

    /// The repository.
    ///
    /// # Errors
    /// As [`Hub::repository`] and [`Self::kind`].
    pub fn repository(&self, hub: &Hub) -> Result<Repository, ApiError> {
        hub.repository(self.kind()?, &self.id())
    }
}

impl FromRequestParts<Arc<Hub>> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Hub>) -> Result<Self, ApiError> {
        match Path::<HashMap<String, String>>::from_request_parts(parts, state).await {
            Ok(Path(parts)) => Ok(Self { parts }),
            Err(_) => Err(ApiError::bad_request(
                "the address has broken percent-encoding",
            )),
        }
    }
}

/// The query of a request.
#[derive(Debug, Clone)]
pub struct Asked(pub Query);

impl FromRequestParts<Arc<Hub>> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Hub>) -> Result<Self, ApiError> {
        Ok(Self(Query::parse(parts.uri.query().unwrap_or(""))?))
    }
}

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// [`Fault::TooLarge`], [`Fault::Unavailable`] where there is no memory, [`Fault::BadRequest`] for one that breaks off.
pub async fn body(hub: &Hub, body: Body, most: usize) -> Result<Text, ApiError> {
    let mut text = hub.bodies.text(most);
    let read = async {
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| ApiError::bad_request("the body broke off"))?;
            text.push(&piece)?;
        }
        Ok(text)
    };
    match timeout(BODY_TIMEOUT, read).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::bad_request("the body did not arrive in time")),
    }
}

/// Reads a body of JSON; nothing counts as an empty object.
///
/// # Errors
/// As [`body`]; [`Fault::BadRequest`] where it is not `T` in JSON.
pub async fn json<T: DeserializeOwned>(hub: &Hub, request: Body) -> Result<T, ApiError> {
    let text = body(hub, request, MAX_JSON).await?;
    let bytes = text.as_bytes();
    let bytes = if bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        bytes
    };
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad_request(format!("the body is not what is taken here: {error}"))
    })
}

/// The header that leads to the next page.
pub fn next_link(hub: &Hub, path: &str, query: &str) -> Option<(header::HeaderName, HeaderValue)> {
    let link = format!("<{}{path}?{query}>; rel=\"next\"", hub.endpoint);
    HeaderValue::from_str(&link)
        .ok()
        .map(|link| (header::LINK, link))
}
