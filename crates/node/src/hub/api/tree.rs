//! Files and folders of a revision, and the history that led to it.

use super::{
    info::warnings,
    request::{Asked, MAX_JSON, Target, body, next_link},
};
use crate::hub::{
    ApiError, At, Hub,
    catalogue::{Depth, Listed},
    safety::{Found, Judgement},
};
use assay_hub::{
    CommitId, Fault, TreePath,
    listing::limit,
    query::{Query, encode, encode_path},
    time::rfc3339,
    wire::{CommitRow, Large, LastCommit, PathsBody, SecurityStatus, TreeRow},
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{collections::HashMap, sync::Arc};

type Shared = State<Arc<Hub>>;

/// Rows of a page of files.
const PAGE: usize = 1_000;
/// Rows of a page of files with the last commit of each.
const EXPANDED_PAGE: usize = 50;
/// Paths that may be asked for at once.
const MAX_PATHS: usize = 1_000;
/// Rows of a page of a history.
const HISTORY_PAGE: usize = 50;
/// Commits that are looked at for the last one of each path; beyond them it is left out.
const MAX_WALK: usize = 200;

pub(super) async fn list(
    State(hub): Shared,
    target: Target,
    Asked(query): Asked,
    headers: HeaderMap,
) -> Result<(HeaderMap, Json<Vec<TreeRow>>), ApiError> {
    hub.token(&headers)?;
    hub.blocking(move |hub| {
        let at = hub.at(target.repository(hub)?, target.rev())?;
        let folder = folder(hub, &at, target.path())?;
        let depth = if query.says("recursive") {
            Depth::All
        } else {
            Depth::Folder
        };
        let expand = query.says("expand");
        let most = if expand { EXPANDED_PAGE } else { PAGE };
        let rows = limit(&query, most, most)?;
        let after = query.first("cursor").map(path_cursor).transpose()?;
        let page = hub.catalogue.list(
            &at.inventory,
            folder.as_ref(),
            depth,
            after.as_ref().map(TreePath::as_str),
            rows,
        )?;
        let mut headers = warnings(&hub.facts(&at.inventory)?, &at.repository.id());
        if let Some(last) = page.rows.last().filter(|_| page.more) {
            let cursor = URL_SAFE_NO_PAD.encode(last.path().as_str());
            // The next page is of the same commit, whatever happens to the branch meanwhile.
            let path = format!(
                "/api/{}/{}/tree/{}{}",
                at.repository.kind.plural(),
                at.repository.id(),
                at.shown(),
                folder.map_or(String::new(), |folder| format!(
                    "/{}",
                    encode_path(folder.as_str())
                ))
            );
            headers.extend(next_link(hub, &path, &query.with("cursor", &cursor)));
        }
        let shown = shown(hub, &at, page.rows, expand)?;
        Ok((headers, Json(shown)))
    })
    .await
}

fn folder(hub: &Hub, at: &At, path: &str) -> Result<Option<TreePath>, ApiError> {
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Ok(None);
    }
    let missing = || Fault::EntryNotFound {
        path: path.to_owned(),
        commit: at.commit,
    };
    let folder: TreePath = path.parse().map_err(|_| missing())?;
    match hub.catalogue.entry(&at.inventory, &folder)? {
        Some(Listed::Folder(folder, _)) => Ok(Some(folder)),
        _ => Err(missing().into()),
    }
}

fn path_cursor(text: &str) -> Result<TreePath, ApiError> {
    let path = URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let path = path.and_then(|path| path.parse().ok());
    path.ok_or_else(|| ApiError::bad_request("the cursor is none that this hub made"))
}

fn shown(hub: &Hub, at: &At, rows: Vec<Listed>, expand: bool) -> Result<Vec<TreeRow>, ApiError> {
    let mut last = if expand {
        last_commits(hub, at.commit, &rows)?
    } else {
        HashMap::new()
    };
    let files = rows.iter().filter_map(|row| match row {
        Listed::File(_, entry) => Some(entry),
        Listed::Folder(..) => None,
    });
    let mut judged = hub.judge_all(files)?.into_iter();
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        let last_commit = last.remove(row.path());
        shown.push(match row {
            Listed::Folder(path, oid) => TreeRow::Directory {
                path,
                size: 0,
                oid,
                last_commit,
            },
            Listed::File(path, entry) => {
                let lfs = Large::of(&entry);
                let judgement = judged.next().flatten();
                let is_code = judgement
                    .as_ref()
                    .is_some_and(|judgement| judgement.found == Found::Code);
                let xet = match &lfs {
                    Some(_) if !is_code => {
                        hub.store.stored(&entry.blob)?.and_then(|stored| stored.xet)
                    }
                    _ => None,
                };
                let security = (expand || is_code).then(|| Box::new(security(judgement.as_ref())));
                TreeRow::File {
                    path,
                    size: entry.size,
                    oid: entry.oid,
                    lfs,
                    xet_hash: xet.map(|hash| hash.to_string()),
                    blake3: entry.blob,
                    last_commit,
                    security_file_status: security,
                }
            }
        });
    }
    Ok(shown)
}

/// What a file's bytes say of code in it, as clients read it.
fn security(judgement: Option<&Judgement>) -> SecurityStatus {
    let (status, why) = match judgement {
        Some(Judgement { found, why }) => (
            match found {
                Found::Data => "safe",
                Found::Code => "unsafe",
                Found::Unknown => "unknown",
            },
            why.clone(),
        ),
        None => ("unscanned", "the content is not on this hub".into()),
    };
    SecurityStatus::of(status, why)
}

/// The commit that last changed each row, as far as it is among the last ones.
fn last_commits(
    hub: &Hub,
    head: CommitId,
    rows: &[Listed],
) -> Result<HashMap<TreePath, LastCommit>, ApiError> {
    let mut found = HashMap::new();
    let mut waiting: Vec<&Listed> = rows.iter().collect();
    let history = hub.catalogue.history(head, MAX_WALK)?;
    for (id, commit) in &history.rows {
        let parent = commit
            .parents
            .first()
            .map(|parent| hub.catalogue.commit(parent))
            .transpose()?;
        let mut still = Vec::new();
        for row in waiting {
            let before = match &parent {
                Some(parent) => hub.catalogue.entry(&parent.tree, row.path())?,
                None => None,
            };
            if before.as_ref() == Some(row) {
                still.push(row);
            } else {
                let last = LastCommit {
                    id: id.short(),
                    title: commit.title.clone(),
                    date: rfc3339(commit.date_ms),
                };
                found.insert(row.path().clone(), last);
            }
        }
        waiting = still;
        if waiting.is_empty() {
            break;
        }
    }
    Ok(found)
}

pub(super) async fn paths_info(
    State(hub): Shared,
    target: Target,
    headers: HeaderMap,
    request: Body,
) -> Result<Json<Vec<TreeRow>>, ApiError> {
    hub.token(&headers)?;
    let text = body(&hub, request, MAX_JSON).await?;
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let (paths, expand) = asked_paths(media, text.as_bytes())?;
    drop(text);
    hub.blocking(move |hub| {
        let at = hub.at(target.repository(hub)?, target.rev())?;
        let mut rows = Vec::new();
        for path in paths.iter().take(MAX_PATHS) {
            // What is not there is left out.
            if let Ok(path) = path.trim_end_matches('/').parse() {
                rows.extend(hub.catalogue.entry(&at.inventory, &path)?);
            }
        }
        let expand = expand && rows.len() <= EXPANDED_PAGE;
        Ok(Json(shown(hub, &at, rows, expand)?))
    })
    .await
}

/// The paths of a form or of JSON.
fn asked_paths(media: &str, text: &[u8]) -> Result<(Vec<String>, bool), ApiError> {
    let (paths, expand) = if media.trim_start().starts_with("application/json") {
        let asked: PathsBody = serde_json::from_slice(text).map_err(ApiError::bad_request)?;
        (asked.paths.into_vec(), asked.expand)
    } else {
        let text =
            std::str::from_utf8(text).map_err(|_| ApiError::bad_request("the form is no UTF-8"))?;
        let form = Query::parse_up_to(text, MAX_PATHS + 8)?;
        (
            form.all("paths").map(str::to_owned).collect(),
            form.says("expand"),
        )
    };
    if paths.len() > MAX_PATHS {
        return Err(ApiError::bad_request(format!(
            "at most {MAX_PATHS} paths are looked up at once"
        )));
    }
    Ok((paths, expand))
}

pub(super) async fn commits(
    State(hub): Shared,
    target: Target,
    Asked(query): Asked,
    headers: HeaderMap,
) -> Result<(HeaderMap, Json<Vec<CommitRow>>), ApiError> {
    hub.token(&headers)?;
    hub.blocking(move |hub| {
        let repository = target.repository(hub)?;
        let rows = limit(&query, HISTORY_PAGE, PAGE)?;
        // A later page begins at a commit of the same repository, which the cursor names.
        let rev = query.first("cursor").unwrap_or(target.rev()).to_owned();
        let at = hub.at(repository, &rev)?;
        let mut page = hub.catalogue.history(at.commit, rows + 1)?;
        let next = if page.rows.len() > rows {
            page.rows.pop()
        } else {
            None
        };
        let mut headers = HeaderMap::new();
        if let Some((id, _)) = next {
            let path = format!(
                "/api/{}/{}/commits/{}",
                at.repository.kind.plural(),
                at.repository.id(),
                encode(target.rev())
            );
            headers.extend(next_link(
                hub,
                &path,
                &query.with("cursor", &id.short().to_string()),
            ));
        }
        let rows = page
            .rows
            .into_iter()
            .map(|(id, commit)| CommitRow::of(id, commit))
            .collect();
        Ok((headers, Json(rows)))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_as_a_form_or_as_json() {
        let form = asked_paths(
            "application/x-www-form-urlencoded",
            b"paths=a%2Fb&paths=c&expand=True",
        )
        .unwrap();
        let list = asked_paths(
            "application/json; x",
            br#"{"paths":["a/b","c"],"expand":true}"#,
        )
        .unwrap();
        assert_eq!(form, list);
        assert_eq!(form, (vec!["a/b".to_owned(), "c".to_owned()], true));
        let many = "paths=a&".repeat(MAX_PATHS + 1);
        for (media, bad) in [
            ("application/json", "paths=a"),
            ("application/json", "{}"),
            ("", "paths=%zz"),
            ("", &many),
        ] {
            assert!(asked_paths(media, bad.as_bytes()).is_err());
        }
        assert!(asked_paths("", b"paths=\xff").is_err());
    }

    #[test]
    fn a_cursor_is_a_path() {
        assert_eq!(
            path_cursor(&URL_SAFE_NO_PAD.encode("a/b"))
                .unwrap()
                .as_str(),
            "a/b"
        );
        for bad in ["", "=", "Li4", "_w"] {
            assert!(path_cursor(bad).is_err(), "{bad}");
        }
    }
}
