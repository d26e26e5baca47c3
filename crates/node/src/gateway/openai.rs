//! OpenAI's API: what an unmodified client of it asks for, answered by nodes of this network, with receipts beside.

mod answer;
pub(crate) mod keys;
pub(crate) mod listed;
mod pieces;
mod task;

pub(crate) use pieces::format_name;

use crate::{
    api::{
        ModelEntry,
        generate::{EMBED_PATH, EmbedReply, EmbedRequest},
        request::ModelName,
    },
    clock::now_ns,
    gateway::{DRAIN_TIMEOUT, Gateway, MAX_ATTEMPTS, ask::blames_question},
    http,
    problem::{Kind, Problem},
};
use answer::{Choices, Form};
use assay_inference::openai::{
    Check, Error, Extension, Head, Kind as Blame, Limits, StreamOptions, chat, completions,
    embeddings, models, responses,
};
use assay_receipt::RevisionId;
use assay_route::stream::Mode;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
    routing::{get, post},
};
use keys::Scope;
use std::{net::SocketAddr, sync::Arc, time::Instant};
use task::{Task, error_of};

type Shared = State<Arc<Gateway>>;
type Peer = ConnectInfo<SocketAddr>;

/// The paths of this API.
pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completions))
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/responses", post(responses))
        .route("/v1/models", get(list))
        .route("/v1/models/{*name}", get(model))
        .route("/v1/{*path}", axum::routing::any(unknown))
}

async fn chat(State(gateway): Shared, client: Peer, request: Request) -> Response {
    answered(chat_of(&gateway, client, request).await)
}

async fn completions(State(gateway): Shared, client: Peer, request: Request) -> Response {
    answered(completion_of(&gateway, client, request).await)
}

async fn responses(State(gateway): Shared, client: Peer, request: Request) -> Response {
    answered(response_of(&gateway, client, request).await)
}

async fn embeddings(State(gateway): Shared, client: Peer, request: Request) -> Response {
    answered(embedding_of(&gateway, client, request).await)
}

async fn unknown(Path(path): Path<String>) -> Response {
    let message = format!("nothing is served at /v1/{path}");
    answered(Err(
        Error::new(Blame::NotFound, message).with_code("unknown_url")
    ))
}

async fn list(State(gateway): Shared, client: Peer, headers: HeaderMap) -> Response {
    answered(
        gateway
            .keys
            .admit(&headers, client.0, Scope::Models)
            .and_then(|_| {
                let speakers = gateway.directory.models();
                let all = speakers.iter().filter(|entry| entry.context.is_some());
                document(&models::List::new(all.map(listed).collect()))
            }),
    )
}

async fn model(
    State(gateway): Shared,
    client: Peer,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Response {
    let found = async {
        gateway.keys.admit(&headers, client.0, Scope::Models)?;
        let (_, entry) = gateway.speaker(&name).await?;
        document(&listed(&entry))
    };
    answered(found.await)
}

/// How a model is listed: under its published name, or its revision.
fn listed(entry: &ModelEntry) -> models::Model {
    let name = entry.published_as.first().cloned();
    let name = name.unwrap_or_else(|| entry.revision.to_string());
    let owner = name
        .split_once('/')
        .map_or("unpublished", |(publisher, _)| publisher)
        .to_owned();
    let mut listed = models::Model::new(name, 0, owner);
    listed.assay = serde_json::to_value(entry).ok();
    listed
}

fn document<T: serde::Serialize>(of: &T) -> Result<Response, Error> {
    let text = serde_json::to_string(of).map_err(|error| Error::internal(error.to_string()))?;
    let mut response = Response::new(Body::from(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

/// The response, or the error in OpenAI's shape.
fn answered(outcome: Result<Response, Error>) -> Response {
    let error = match outcome {
        Ok(response) => return response,
        Err(error) => error,
    };
    let mut response = Response::new(Body::from(error.body()));
    let status = StatusCode::from_u16(error.kind.status());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in error.headers() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// What every endpoint needs to answer.
struct Asking<'a> {
    gateway: &'a Arc<Gateway>,
    model: String,
    stream: Option<StreamOptions>,
    extension: Extension,
    prefix: &'static str,
}

impl Asking<'_> {
    fn head(&self, revision: RevisionId) -> Head {
        let seconds = now_ns() / 1_000_000_000;
        Head {
            id: format!("{}{:032x}", self.prefix, rand::random::<u128>()),
            created: seconds,
            model: self.model.clone(),
            system_fingerprint: Some(revision.to_string()),
        }
    }

    async fn answer(
        self,
        (revision, entry): (RevisionId, ModelEntry),
        task: Task,
        form: impl FnOnce(Head, u32, bool) -> Form,
    ) -> Result<Response, Error> {
        let mode = match self.extension.check {
            Some(Check::Streaming) => Mode::Checked,
            Some(Check::None) | None => Mode::Unchecked,
        };
        let count = u32::try_from(task.questions.len()).unwrap_or(u32::MAX);
        let head = self.head(revision);
        let asked = (task, self.model.clone());
        let choices = Choices::ask(self.gateway, (revision, &entry), asked, (mode, &head.id))?;
        let includes = self.stream.is_some_and(|options| options.include_usage);
        let form = form(head.clone(), count, includes);
        match self.stream {
            Some(_) => choices.events(form).await,
            None => choices.document(form, head).await,
        }
    }
}

async fn chat_of(
    gateway: &Arc<Gateway>,
    client: Peer,
    request: Request,
) -> Result<Response, Error> {
    let body = gateway.body(client, request, Scope::Chat).await?;
    let request = chat::Request::from_json(&body, &limits(gateway))?;
    let speaker = gateway.speaker(&request.model).await?;
    let task = task::of_chat(&request, &speaker.1)?;
    let asking = Asking {
        gateway,
        model: request.model,
        stream: request.stream,
        extension: request.extension,
        prefix: "chatcmpl-",
    };
    let form = |head, count, includes| Form::Chat(chat::ChatStream::new(head, count, includes));
    asking.answer(speaker, task, form).await
}

async fn completion_of(
    gateway: &Arc<Gateway>,
    client: Peer,
    request: Request,
) -> Result<Response, Error> {
    let body = gateway.body(client, request, Scope::Completions).await?;
    let request = completions::Request::from_json(&body, &limits(gateway))?;
    let speaker = gateway.speaker(&request.model).await?;
    let task = task::of_completion(&request);
    let asking = Asking {
        gateway,
        model: request.model,
        stream: request.stream,
        extension: request.extension,
        prefix: "cmpl-",
    };
    let form = |head, count, includes| {
        Form::Completion(completions::CompletionStream::new(head, count, includes))
    };
    asking.answer(speaker, task, form).await
}

async fn response_of(
    gateway: &Arc<Gateway>,
    client: Peer,
    request: Request,
) -> Result<Response, Error> {
    let body = gateway.body(client, request, Scope::Responses).await?;
    let request = responses::Request::from_json(&body, &limits(gateway))?;
    let speaker = gateway.speaker(&request.chat.model).await?;
    let task = task::of_chat(&request.clone().into_chat(), &speaker.1)?;
    let asking = Asking {
        gateway,
        model: request.chat.model.clone(),
        stream: request.chat.stream,
        extension: request.chat.extension,
        prefix: "resp_",
    };
    let form =
        |head, _, _| Form::Response(Box::new(responses::ResponseStream::new(head, &request)));
    asking.answer(speaker, task, form).await
}

async fn embedding_of(
    gateway: &Arc<Gateway>,
    client: Peer,
    request: Request,
) -> Result<Response, Error> {
    let body = gateway.body(client, request, Scope::Embeddings).await?;
    let request = embeddings::Request::from_json(&body, &limits(gateway))?;
    let (revision, _) = gateway.speaker(&request.model).await?;
    if request.dimensions.is_some() {
        let message = "vectors have as many numbers as the model gives";
        return Err(Error::invalid("dimensions", "unsupported_value", message));
    }
    let texts: Option<Vec<String>> = request
        .inputs
        .iter()
        .map(|input| match input {
            completions::Prompt::Text(text) => Some(text.clone()),
            completions::Prompt::Tokens(_) => None,
        })
        .collect();
    let texts = texts.ok_or_else(|| {
        let message = "tokens are not embedded here: send texts";
        Error::invalid("input", "unsupported_value", message)
    })?;
    let asked = EmbedRequest {
        model: revision.to_string(),
        texts,
    };
    let embedded = gateway.embed(revision, &asked).await;
    let reply = embedded.map_err(|problem| error_of(&problem, &request.model))?;
    let (vectors, tokens) = (reply.vectors, reply.tokens);
    let response =
        embeddings::Response::new(request.model, vectors, request.encoding, tokens, None);
    document(&response)
}

fn limits(gateway: &Gateway) -> Limits {
    Limits {
        body_bytes: gateway.limits.body_bytes,
        ..Limits::default()
    }
}

impl Gateway {
    /// The language model that a client names: published, by revision, or by the name in its manifest where there is one.
    async fn speaker(&self, name: &str) -> Result<(RevisionId, ModelEntry), Error> {
        let revision = match name.parse::<ModelName>() {
            Ok(named) => {
                let found = self.names.resolve(&named).await;
                Some(found.map_err(|problem| error_of(&problem, name))?)
            }
            Err(_) => None,
        };
        let is_it = |entry: &&ModelEntry| match revision {
            Some(revision) => entry.revision == revision,
            None => entry.name == name,
        };
        let find = |list: &[ModelEntry]| {
            let mut fit = list.iter().filter(is_it);
            let one = fit.next()?;
            Some((one.clone(), fit.next().is_some()))
        };
        let found = self
            .listed
            .find(Instant::now(), || self.directory.models(), find);
        let (one, is_ambiguous) = found.ok_or_else(|| Error::model_not_found(name))?;
        if is_ambiguous {
            let message = format!(
                "several models are called `{name}`: give one as publisher/name or by its revision"
            );
            return Err(Error::invalid("model", "ambiguous_model", message));
        }
        Ok((one.revision, one))
    }

    /// Vectors of texts, from whichever node gives them.
    async fn embed(
        &self,
        revision: RevisionId,
        asked: &EmbedRequest,
    ) -> Result<EmbedReply, Problem> {
        let mut tried = Vec::new();
        let mut last = Problem::new(
            Kind::Unavailable,
            "no node that serves this model answers now",
        );
        while let Some(chosen) = self.directory.choose(revision, &tried) {
            if tried.len() >= MAX_ATTEMPTS {
                break;
            }
            tried.push(chosen.node());
            let endpoint = chosen.endpoint();
            let reply = self
                .asker
                .exchange::<EmbedReply>(endpoint, EMBED_PATH, asked);
            match reply.await {
                Ok(reply) if reply.vectors.len() == asked.texts.len() => return Ok(reply),
                Ok(_) => chosen.failed(),
                Err(problem) if blames_question(&problem) => return Err(problem),
                Err(problem) => last = problem,
            }
        }
        Err(last)
    }

    /// The body of a request whose client may ask.
    async fn body(&self, client: Peer, request: Request, scope: Scope) -> Result<Vec<u8>, Error> {
        self.keys.admit(request.headers(), client.0, scope)?;
        let gone = |problem: Problem| error_of(&problem, "");
        if self.shutdown.is_requested() {
            let problem = Problem::new(Kind::Unavailable, "this gateway is stopping");
            return Err(gone(problem.retry_after(DRAIN_TIMEOUT.as_secs())));
        }
        let most = self.limits.body_bytes;
        let text = http::read_body(request, most, &self.bodies).await;
        let text = text.map_err(|problem| match problem.kind() {
            Some(Kind::TooLarge) => Error::new(Blame::TooLarge, problem.to_string()),
            Some(Kind::MediaType | Kind::BadRequest) => {
                Error::invalid("body", "invalid_body", problem.to_string())
            }
            _ => gone(problem),
        })?;
        Ok(text.as_bytes().to_vec())
    }
}
