//! From files to a commit: how each is to be sent, what is wrong with a card, and the commit itself.

use super::request::{Asked, Target, json};
use crate::{
    http::BODY_TIMEOUT,
    hub::{
        ApiError, Hub, Repository, RepositoryKey, Scope,
        commit::{Draft, Step},
    },
};
use assay_hub::{
    Fault, Form, RefName, TreePath,
    card::{Card, Complaints},
    error::{bounded, quoted},
    ignore::Ignore,
    operation::{Header, Line, Lines, MAX_OPERATIONS, Operation},
    refs::MAIN,
    wire::{
        CommitOwn, Committed, Complaint, Preupload, PreuploadAnswer, PreuploadFile, PreuploadRow,
        ValidateYaml, Validated, page_url,
    },
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use futures::StreamExt as _;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

type Shared = State<Arc<Hub>>;

/// Files that one question may be about.
const MAX_PREUPLOAD: usize = 1_000;
/// A commit waits this long for its turn to arrive.
const COMMIT_PATIENCE: Duration = Duration::from_secs(60);
/// A commit, which has no large files in it, has this long to arrive.
const COMMIT_TIME: Duration = Duration::from_secs(300);
/// Content of small files that is held before it is stored together, bytes.
const HELD_BYTES: usize = 8 << 20;

/// What is wrong with a card. Clients look for errors only in an answer with status 400.
pub(super) async fn validate_yaml(
    State(hub): Shared,
    body: Body,
) -> Result<(StatusCode, Json<Validated>), ApiError> {
    let asked: ValidateYaml = json(&hub, body).await?;
    let found = Card::parse(&asked.content).map_or_else(
        |error| Complaints {
            errors: vec![error.to_string()],
            warnings: Vec::new(),
        },
        |card| card.complaints(),
    );
    let status = if found.errors.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    let told = |message: String| Complaint { message };
    let answer = Validated {
        error: found.errors.first().cloned(),
        errors: found.errors.into_iter().map(told).collect(),
        warnings: found.warnings.into_iter().map(told).collect(),
    };
    Ok((status, Json(answer)))
}

pub(super) async fn preupload(
    State(hub): Shared,
    target: Target,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PreuploadAnswer>, ApiError> {
    let repository = target.repository(&hub)?;
    hub.authorize(&headers, &repository, Scope::Write)?;
    let asked: Preupload = json(&hub, body).await?;
    bounded(
        "files of one question",
        asked.files.len() as u64,
        MAX_PREUPLOAD as u64,
    )?;
    hub.blocking(move |hub| {
        let at = hub.at(repository, target.rev())?;
        let ignore = Ignore::parse(asked.git_ignore.as_deref().unwrap_or(""))?;
        let mut files = Vec::with_capacity(asked.files.len());
        for PreuploadFile { path, size, .. } in asked.files {
            let path: TreePath = path.parse()?;
            if size > hub.retention.max_file_bytes {
                let most = hub.retention.max_file_bytes;
                return Err(Fault::TooLarge(format!(
                    "`{path}`: this hub takes files of at most {most} bytes"
                ))
                .into());
            }
            let form = Form::of(&path, size);
            files.push(PreuploadRow {
                upload_mode: if form == Form::Large {
                    "lfs"
                } else {
                    "regular"
                },
                should_ignore: ignore.ignores(&path),
                oid: hub
                    .catalogue
                    .file(&at.inventory, &path)?
                    .map(|entry| entry.etag()),
                path: path.to_string(),
            });
        }
        Ok(Json(PreuploadAnswer { files }))
    })
    .await
}

pub(super) async fn commit(
    State(hub): Shared,
    target: Target,
    Asked(query): Asked,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Committed>, ApiError> {
    let creates = query.says("create");
    let (repository, is_first) = hub.repository_or_new(target.kind()?, &target.id(), creates)?;
    let grant = hub.writer(&headers, repository.publisher)?;
    if query.says("create_pr") {
        return Err(ApiError::bad_request(
            "this hub has no pull requests: commit to a branch",
        ));
    }
    let branch = branch(&hub, &repository, target.rev())?;
    let mut incoming = Incoming::default();
    {
        let _turn = hub.commits.enter()?.turn(COMMIT_PATIENCE).await?;
        incoming.to = Some((repository.key(), branch.clone()));
        let read = timeout(COMMIT_TIME, incoming.read(&hub, body)).await;
        read.map_err(|_| ApiError::bad_request("the commit did not arrive in time"))??;
    }
    let header = incoming
        .header
        .ok_or_else(|| ApiError::bad_request("the commit has no header"))?;
    let draft = Draft {
        key: repository.key(),
        shown: repository.name.clone(),
        branch,
        header,
        steps: incoming.steps,
        is_first,
    };
    let made = hub.commit(draft, &grant).await?;
    let short = made.commit.short();
    let page = page_url(&hub.endpoint, repository.kind, &repository.id());
    Ok(Json(Committed {
        success: true,
        commit_url: format!("{page}/commit/{short}"),
        commit_oid: short,
        hook_output: String::new(),
        pull_request_url: None,
        assay: CommitOwn {
            commit: made.commit,
            revision: made.revision,
        },
    }))
}

/// The branch that a commit goes to, which must be there.
fn branch(hub: &Hub, repository: &Repository, rev: &str) -> Result<RefName, ApiError> {
    let name = rev.strip_prefix("refs/heads/").unwrap_or(rev);
    let missing = || Fault::RevisionNotFound(rev.to_owned());
    let branch = RefName::branch(name).map_err(|_| missing())?;
    if name != MAIN && hub.catalogue.head(&repository.key(), &branch)?.is_none() {
        return Err(missing().into());
    }
    Ok(branch)
}

/// A commit that arrives: its small files are stored as they come.
#[derive(Default)]
struct Incoming {
    /// Where it goes: what cannot go there is refused before anything of it is stored.
    to: Option<(RepositoryKey, RefName)>,
    header: Option<Header>,
    steps: Vec<Step>,
    held: Vec<(TreePath, Vec<u8>)>,
    held_bytes: usize,
    operations: u64,
}

impl Incoming {
    async fn read(&mut self, hub: &Arc<Hub>, body: Body) -> Result<(), ApiError> {
        let mut pieces = body.into_data_stream();
        let (mut lines, mut bytes) = (Lines::default(), 0usize);
        loop {
            let piece = timeout(BODY_TIMEOUT, pieces.next()).await;
            let piece =
                piece.map_err(|_| ApiError::bad_request("the body did not arrive in time"))?;
            let Some(piece) = piece else { break };
            let piece = piece.map_err(|_| ApiError::bad_request("the body broke off"))?;
            bytes = bytes.saturating_add(piece.len());
            bounded(
                "bytes of a commit",
                bytes as u64,
                hub.limits.commit_bytes as u64,
            )?;
            let mut found = Vec::new();
            lines.push::<ApiError>(&piece, |line| {
                found.push(Line::parse(line)?);
                Ok(())
            })?;
            self.take(hub, found).await?;
        }
        let mut found = Vec::new();
        lines.finish::<ApiError>(|line| {
            found.push(Line::parse(line)?);
            Ok(())
        })?;
        self.take(hub, found).await?;
        self.store(hub).await
    }

    async fn take(&mut self, hub: &Arc<Hub>, lines: Vec<Line>) -> Result<(), ApiError> {
        for line in lines {
            let operation = match line {
                Line::Header(header) => {
                    if self.header.is_some() || self.operations > 0 {
                        return Err(ApiError::bad_request(
                            "a commit has one header, on its first line",
                        ));
                    }
                    if let Some((key, branch)) = &self.to {
                        hub.check_parent(key, branch, &header)?;
                    }
                    self.header = Some(header);
                    continue;
                }
                Line::Operation(operation) => operation,
            };
            if self.header.is_none() {
                return Err(ApiError::bad_request(
                    "the first line of a commit is its header",
                ));
            }
            self.operations = self.operations.saturating_add(1);
            bounded("operations of a commit", self.operations, MAX_OPERATIONS)?;
            self.step(hub, operation).await?;
        }
        Ok(())
    }

    async fn step(&mut self, hub: &Arc<Hub>, operation: Operation) -> Result<(), ApiError> {
        let step = match operation {
            Operation::File { path, content } => {
                self.held_bytes = self.held_bytes.saturating_add(content.len());
                self.held.push((path, content));
                if self.held_bytes > HELD_BYTES {
                    self.store(hub).await?;
                }
                return Ok(());
            }
            Operation::LargeFile { path, sha256, size } => {
                let stored = hub.uploaded(&sha256)?.ok_or_else(|| {
                    let path = quoted(path.as_str());
                    ApiError::bad_request(format!(
                        "`{path}`: the content {sha256} was not uploaded to this hub"
                    ))
                })?;
                if let Some(size) = size.filter(|size| *size != stored.size) {
                    let reason = format!(
                        "`{path}`: the content {sha256} has {} bytes, not {size}",
                        stored.size
                    );
                    return Err(ApiError::bad_request(reason));
                }
                Step::Put(path, stored)
            }
            Operation::Copy {
                path,
                from,
                revision,
            } => Step::Copy {
                path,
                from,
                revision,
            },
            Operation::DeleteFile(path) => Step::DeleteFile(path),
            Operation::DeleteFolder(folder) => Step::DeleteFolder(folder),
        };
        // The order of the client's lines is kept.
        self.store(hub).await?;
        self.steps.push(step);
        Ok(())
    }

    /// Stores the small files that are held.
    async fn store(&mut self, hub: &Arc<Hub>) -> Result<(), ApiError> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.held_bytes = 0;
        let (paths, contents): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.held).into_iter().unzip();
        let stored = hub
            .blocking(move |hub| Ok(hub.store.put_many(contents.iter().map(Vec::as_slice))?))
            .await?;
        self.steps.extend(
            paths
                .into_iter()
                .zip(stored)
                .map(|(path, stored)| Step::Put(path, stored)),
        );
        Ok(())
    }
}
