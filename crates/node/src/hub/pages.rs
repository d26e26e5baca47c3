//! The hub's pages for people.

use super::{
    ApiError, At, Hub, facts::Facts, network::Seen, others::HubStanding, provenance::Origin,
};
use assay_hub::{
    Kind,
    card::CARD_FILE,
    page::{self, FileLine, HubLine, RepositoryPage, Tone},
    time::rfc3339,
};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{Html, IntoResponse as _, Response},
    routing::get,
};
use std::sync::Arc;

/// Longest part of a card that a page shows, bytes.
const MAX_CARD: usize = 64 << 10;

/// The routes.
pub fn routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/{namespace}/{name}", get(model))
        .route("/datasets/{namespace}/{name}", get(dataset))
}

async fn model(hub: State<Arc<Hub>>, path: Path<(String, String)>) -> Result<Response, ApiError> {
    repository(hub, Kind::Model, path).await
}

async fn dataset(hub: State<Arc<Hub>>, path: Path<(String, String)>) -> Result<Response, ApiError> {
    repository(hub, Kind::Dataset, path).await
}

async fn repository(
    State(hub): State<Arc<Hub>>,
    kind: Kind,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let page = hub
        .blocking(move |hub| hub.page(kind, &format!("{namespace}/{name}")))
        .await?;
    Ok(html(page.html()))
}

/// A page as an answer.
pub(super) fn html(text: String) -> Response {
    let mut response = Html(text).into_response();
    let headers = response.headers_mut();
    let policy = HeaderValue::from_static(page::CONTENT_SECURITY_POLICY);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

impl Hub {
    /// What is known of a model beside its files, name and value.
    fn known(&self, at: &At, facts: &Facts) -> Vec<(String, String)> {
        let mut shown = Vec::new();
        if let Some(parameters) = &facts.safetensors {
            shown.push(("parameters".into(), parameters.total.to_string()));
        }
        if let Some(signature) = &facts.signature {
            shown.push(("signature".into(), signature.words()));
        }
        if let Some(from) = &facts.imported {
            let words = format!(
                "imported from {} of {} at commit {}, as its publisher claims",
                from.repository, from.source, from.commit
            );
            shown.push(("imported".into(), words));
        }
        for near in self.copies(&at.revision) {
            let words = format!(
                "{:.0} % of the smaller one's weights are nearly those of {}, published earlier ({})",
                near.share * 100.0,
                near.repository,
                rfc3339(near.since_ms)
            );
            shown.push(("near copy".into(), words));
        }
        shown
    }

    /// The page of a repository at its main branch.
    fn page(&self, kind: Kind, id: &str) -> Result<RepositoryPage, ApiError> {
        let at = self.at(self.repository(kind, id)?, "main")?;
        let id = at.repository.id();
        let tree = self.catalogue.tree(&at.inventory)?;
        let facts = self.facts(&at.inventory)?;
        let files = tree.files().iter().map(|(path, entry)| FileLine {
            note: match facts.executable.iter().any(|code| code == path.as_str()) {
                true => "can run code".into(),
                false => String::new(),
            },
            path: path.to_string(),
            size: entry.size,
            blob: entry.blob.to_string(),
        });
        let card = CARD_FILE
            .parse()
            .ok()
            .and_then(|path| tree.file(&path))
            .copied();
        let card = match card {
            Some(entry) if entry.size <= MAX_CARD as u64 => {
                self.content(&entry.blob)?.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let anchored = match &self.link {
            Some(_) => "on chain, in ModelRegistry",
            None => "nowhere but here: this hub stands alone",
        };
        let mut shown = vec![("bytes".to_owned(), tree.bytes().to_string())];
        shown.extend(self.known(&at, &facts));
        let lineage = match kind {
            Kind::Model => self.origin(&at)?,
            Kind::Dataset => Origin::default(),
        };
        let elsewhere = lineage
            .elsewhere
            .iter()
            .map(|base| format!("{base} (not on this hub) [claimed]"));
        shown.extend(elsewhere.map(|base| ("made of".to_owned(), base)));
        Ok(RepositoryPage {
            lineage: lineage.text(),
            kind: kind.to_string(),
            endpoint: self.endpoint.clone(),
            publisher: at.repository.publisher.to_string(),
            commit: at.commit.to_string(),
            revision: at.revision.to_string(),
            anchored: anchored.into(),
            warnings: facts.warnings(&id),
            files: files.collect(),
            hubs: self.standing_of(at.revision).iter().map(line).collect(),
            facts: shown,
            card: String::from_utf8_lossy(&card).into_owned(),
            id,
        })
    }
}

fn line(standing: &HubStanding) -> HubLine {
    let latest = standing.latest.as_ref();
    let words = latest.map_or("not asked yet".into(), |latest| latest.seen.words());
    let lied = standing.lied.as_ref();
    let earlier = lied.filter(|lie| latest.is_none_or(|latest| latest.at_ms != lie.at_ms));
    let (seen, tone) = match (latest.map(|latest| &latest.seen), earlier) {
        (_, Some(lie)) => {
            let when = rfc3339(lie.at_ms);
            (
                format!("{} (at {when}); since then: {words}", lie.seen.words()),
                Tone::Bad,
            )
        }
        (Some(Seen::Served), None) => (words, Tone::Good),
        (Some(Seen::WrongBytes(_) | Seen::Refused(_)), None) => (words, Tone::Bad),
        _ => (words, Tone::Plain),
    };
    let recorded = latest.and_then(|latest| latest.recorded_in);
    let when = latest.map_or(String::new(), |latest| rfc3339(latest.at_ms));
    HubLine {
        hub: standing.hub.clone(),
        url: standing.url.clone(),
        seen,
        tone,
        when: match recorded {
            Some(block) => format!("{when}, recorded in block {block}"),
            None => when,
        },
    }
}
