//! Answers as OpenAI's clients read them: streams of events, or one document.

use super::{
    pieces::{Pieces, tool_format},
    task::{Task, error_of, evidence},
};
use crate::{
    api::{ModelEntry, RECEIPT_HEADER, generate::StepEntry},
    gateway::{
        Gateway,
        speak::{Heard, Whole},
    },
};
use assay_inference::openai::{
    Error, Head, Piece, Usage, chat::ChatStream, completions::CompletionStream,
    responses::ResponseStream, sse,
};
use assay_receipt::RevisionId;
use assay_route::stream::Mode;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures::{StreamExt as _, stream::SelectAll};
use serde::Serialize;
use serde_json::Value;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::timeout;

/// A comment keeps a connection that nothing else goes through.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The form of an answer, by endpoint.
pub(super) enum Form {
    Chat(ChatStream),
    Completion(CompletionStream),
    Response(Box<ResponseStream>),
}

impl Form {
    fn events<T: Serialize>(all: Vec<T>) -> Result<Vec<String>, Error> {
        all.iter().map(sse::data).collect()
    }

    fn start(&mut self) -> Result<Vec<String>, Error> {
        match self {
            Self::Chat(stream) => Self::events(stream.start()),
            Self::Completion(_) => Ok(Vec::new()),
            Self::Response(stream) => stream.start().iter().map(|event| event.sse()).collect(),
        }
    }

    fn push(&mut self, choice: u32, piece: Piece) -> Result<Vec<String>, Error> {
        match self {
            Self::Chat(stream) => Self::events(stream.push(choice, piece)?),
            Self::Completion(stream) => Self::events(stream.push(choice, piece)?),
            Self::Response(stream) => stream
                .push(piece)?
                .iter()
                .map(|event| event.sse())
                .collect(),
        }
    }

    fn finish(&mut self, usage: Usage, assay: Value) -> Result<Vec<String>, Error> {
        let assay = Some(assay);
        Ok(match self {
            Self::Chat(stream) => done(Self::events(stream.finish(usage, assay)?)?),
            Self::Completion(stream) => done(Self::events(stream.finish(usage, assay)?)?),
            Self::Response(stream) => {
                let events = stream.finish(usage, assay)?;
                events
                    .iter()
                    .map(|event| event.sse())
                    .collect::<Result<_, _>>()?
            }
        })
    }

    /// What a client hears when there is no more after the beginning.
    fn fail(&mut self, error: Error) -> Vec<String> {
        match self {
            Self::Chat(_) | Self::Completion(_) => vec![format!("data: {}\n\n", error.body())],
            Self::Response(stream) => {
                let events = stream.fail(error);
                events.iter().filter_map(|event| event.sse().ok()).collect()
            }
        }
    }

    /// The whole answer as one document.
    fn whole(
        self,
        (head, choices): (Head, u32),
        pieces: Vec<(u32, Piece)>,
        usage: Usage,
        assay: Value,
    ) -> Result<String, Error> {
        let assay = Some(assay);
        let text = match self {
            Self::Chat(_) => {
                serde_json::to_string(&ChatStream::whole(head, choices, pieces, usage, assay)?)
            }
            Self::Completion(_) => serde_json::to_string(&CompletionStream::whole(
                head, choices, pieces, usage, assay,
            )?),
            Self::Response(mut stream) => {
                stream.start();
                for (_, piece) in pieces {
                    stream.push(piece)?;
                }
                stream.finish(usage, assay)?;
                serde_json::to_string(stream.response())
            }
        };
        text.map_err(|error| Error::internal(error.to_string()))
    }
}

fn done(mut events: Vec<String>) -> Vec<String> {
    events.push(sse::DONE.into());
    events
}

/// One choice as far as it has come.
struct Choice {
    pieces: Pieces,
    steps: Vec<StepEntry>,
    whole: Option<Box<Whole>>,
}

/// All choices of a request.
pub(super) struct Choices {
    model: String,
    all: Vec<Choice>,
    heard: SelectAll<futures::stream::BoxStream<'static, (u32, Heard)>>,
}

/// What comes next.
enum Next {
    Pieces(Vec<(u32, Piece)>),
    Failed(Error),
    End,
}

impl Choices {
    /// Asks for all of them.
    ///
    /// # Errors
    /// For a question that cannot be asked.
    pub(super) fn ask(
        gateway: &Arc<Gateway>,
        (revision, entry): (RevisionId, &ModelEntry),
        (task, model): (Task, String),
        (mode, id): (Mode, &str),
    ) -> Result<Self, Error> {
        let format = tool_format(entry.tool_format.as_deref()).filter(|_| task.has_tools);
        let mut heard = SelectAll::new();
        let mut all = Vec::new();
        for (choice, question) in (0u32..).zip(task.questions) {
            let receiver = gateway.speak(revision, question, mode);
            let receiver = receiver.map_err(|problem| error_of(&problem, &model))?;
            let stream = futures::stream::unfold(receiver, move |mut receiver| async move {
                Some(((choice, receiver.recv().await?), receiver))
            });
            heard.push(stream.boxed());
            let suffix = format!("{}_{choice}_", id.rsplit('-').next().unwrap_or_default());
            all.push(Choice {
                pieces: Pieces::new(format, task.parallel, suffix),
                steps: Vec::new(),
                whole: None,
            });
        }
        Ok(Self { model, all, heard })
    }

    fn count(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(u32::MAX)
    }

    async fn next(&mut self) -> Next {
        let Some((number, heard)) = self.heard.next().await else {
            let is_whole = self.all.iter().all(|choice| choice.whole.is_some());
            return match is_whole {
                true => Next::End,
                false => Next::Failed(Error::internal("an answer is lost")),
            };
        };
        let Some(choice) = usize::try_from(number)
            .ok()
            .and_then(|at| self.all.get_mut(at))
        else {
            return Next::Failed(Error::internal("an answer nobody asked for"));
        };
        let pieces = match heard {
            Heard::Failed(problem) => return Next::Failed(error_of(&problem, &self.model)),
            Heard::Steps(steps) => {
                let pieces = choice.pieces.push(&steps);
                choice.steps.extend(steps);
                pieces
            }
            Heard::Whole(whole) => {
                let pieces = choice.pieces.finish(whole.ended.finish);
                choice.whole = Some(whole);
                pieces
            }
        };
        Next::Pieces(pieces.into_iter().map(|piece| (number, piece)).collect())
    }

    fn usage(&self) -> Usage {
        let wholes = self.all.iter().filter_map(|choice| choice.whole.as_ref());
        let sum = |of: &dyn Fn(&Whole) -> u64| {
            wholes
                .clone()
                .fold(0u64, |sum, whole| sum.saturating_add(of(whole)))
        };
        Usage {
            prompt_tokens: wholes.clone().next().map_or(0, |whole| whole.prompt_tokens),
            completion_tokens: sum(&|whole| whole.ended.usage.output_units),
            cached_tokens: wholes
                .clone()
                .next()
                .map_or(0, |whole| whole.ended.cached_tokens),
        }
    }

    /// The evidence: of one choice as it is, of several in a list.
    fn evidence(&self) -> Value {
        let each = self.all.iter().filter_map(|choice| {
            let whole = choice.whole.as_ref()?;
            Some(evidence(whole, &choice.steps))
        });
        let mut each: Vec<Value> = each.collect();
        match each.len() {
            1 => each.pop().unwrap_or_default(),
            _ => serde_json::json!({ "choices": each }),
        }
    }

    fn receipt(&self) -> Option<HeaderValue> {
        let whole = self.all.first()?.whole.as_ref()?;
        HeaderValue::from_str(&whole.ended.receipt_id.to_string()).ok()
    }

    /// The answer as one document.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn document(mut self, form: Form, head: Head) -> Result<Response, Error> {
        let mut pieces = Vec::new();
        loop {
            match self.next().await {
                Next::Pieces(more) => pieces.extend(more),
                Next::Failed(error) => return Err(error),
                Next::End => break,
            }
        }
        let choices = self.count();
        let text = form.whole((head, choices), pieces, self.usage(), self.evidence())?;
        let mut response = Response::new(Body::from(text));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(id) = self.receipt() {
            response.headers_mut().insert(RECEIPT_HEADER, id);
        }
        Ok(response)
    }

    /// The answer as events, from the first token on: what fails before that has a status of its own.
    ///
    /// # Errors
    /// Why there is not even a beginning.
    pub(super) async fn events(mut self, mut form: Form) -> Result<Response, Error> {
        let mut first = form.start()?;
        match self.next().await {
            Next::Failed(error) => return Err(error),
            Next::End => {}
            Next::Pieces(pieces) => {
                for (choice, piece) in pieces {
                    first.extend(form.push(choice, piece)?);
                }
            }
        }
        let pouring = Pouring {
            choices: self,
            form,
            ready: first.concat(),
            is_over: false,
        };
        let body = futures::stream::unfold(pouring, async |mut pouring| {
            Some((Ok::<String, Infallible>(pouring.next().await?), pouring))
        });
        let mut response = Response::new(Body::from_stream(body));
        *response.status_mut() = StatusCode::OK;
        for (name, value) in [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-cache"),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

/// The body of a stream: events as they come. Whoever reads no more drops it, and the answer with it.
struct Pouring {
    choices: Choices,
    form: Form,
    /// Events that are not written yet.
    ready: String,
    is_over: bool,
}

impl Pouring {
    /// The next events, at least one; `None` after the last.
    async fn next(&mut self) -> Option<String> {
        while self.ready.is_empty() {
            if self.is_over {
                return None;
            }
            self.ready = match timeout(KEEP_ALIVE, self.choices.next()).await {
                Ok(next) => self.events(next),
                Err(_) => sse::KEEP_ALIVE.into(),
            };
        }
        Some(std::mem::take(&mut self.ready))
    }

    fn events(&mut self, next: Next) -> String {
        self.is_over = !matches!(next, Next::Pieces(_));
        let made = match next {
            Next::Pieces(pieces) => pieces
                .into_iter()
                .map(|(choice, piece)| self.form.push(choice, piece))
                .collect::<Result<Vec<_>, _>>()
                .map(|made| made.concat()),
            Next::Failed(error) => Ok(self.form.fail(error)),
            Next::End => {
                let (usage, evidence) = (self.choices.usage(), self.choices.evidence());
                self.form.finish(usage, evidence)
            }
        };
        made.unwrap_or_else(|error| self.form.fail(error)).concat()
    }
}
