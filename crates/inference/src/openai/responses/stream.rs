//! Pieces become events.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::chat::wrong_order;
use super::super::{Error, FinishReason, Head, Piece, TokenLogprob, Usage, sse};
use super::{Item, Request, Response, Status, Text};

/// One event of a response's stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Such as `response.output_text.delta`.
    pub r#type: &'static str,
    /// Its number, from 0.
    pub sequence_number: u64,
    /// What it says.
    #[serde(flatten)]
    pub body: Value,
}

impl Event {
    /// The event as it goes over the wire; after the last one the stream just ends.
    ///
    /// # Errors
    /// As [`sse::data`].
    pub fn sse(&self) -> Result<String, Error> {
        sse::named(self.r#type, self)
    }
}

/// Turns the pieces of a response into its events, and into the response itself: [`ResponseStream::response`] is what
/// the last event carries.
#[derive(Debug)]
pub struct ResponseStream {
    response: Response,
    /// What the ids of items end in.
    suffix: String,
    sequence: u64,
    started: bool,
    finish: Option<FinishReason>,
}

impl ResponseStream {
    /// A response to a request; its items are named after it.
    pub fn new(head: Head, request: &Request) -> Self {
        let suffix = head.id.strip_prefix("resp_").unwrap_or(&head.id).into();
        Self {
            response: Response::new(head, request),
            suffix,
            sequence: 0,
            started: false,
            finish: None,
        }
    }

    /// The response as far as it is.
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// The first events, to be sent before there is any piece; [`ResponseStream::push`] makes up for it.
    pub fn start(&mut self) -> Vec<Event> {
        if std::mem::replace(&mut self.started, true) {
            return Vec::new();
        }
        let events = ["response.created", "response.in_progress"];
        events.map(|name| self.state(name)).into()
    }

    /// The events of a piece.
    ///
    /// # Errors
    /// [`super::super::Kind::Internal`] for pieces in an order that no answer has.
    pub fn push(&mut self, piece: Piece) -> Result<Vec<Event>, Error> {
        if self.finish.is_some() || self.response.status != Status::InProgress {
            return Err(wrong_order("the response has ended"));
        }
        let mut events = self.start();
        match piece {
            Piece::Text { text, logprobs } => self.text(&text, logprobs, &mut events),
            Piece::ToolCall { id, name } => {
                self.close(Status::Completed, &mut events);
                self.open_call(id, name, &mut events);
            }
            Piece::ToolArguments(more) => self.arguments(&more, &mut events)?,
            Piece::Finish(reason) => self.finish = Some(reason),
        }
        Ok(events)
    }

    /// The last events.
    ///
    /// # Errors
    /// [`super::super::Kind::Internal`] if the response has not ended, or was finished before.
    pub fn finish(&mut self, usage: Usage, assay: Option<Value>) -> Result<Vec<Event>, Error> {
        let reason = self.finish.take();
        let reason = reason.ok_or_else(|| wrong_order("the response has not ended"))?;
        let mut events = self.start();
        if self.response.output.is_empty() {
            // An empty answer is a text, not the lack of one.
            self.text("", Vec::new(), &mut events);
        }
        let (status, incomplete, last) = match reason {
            FinishReason::Length => (
                Status::Incomplete,
                Some("max_output_tokens"),
                "response.incomplete",
            ),
            FinishReason::ContentFilter => (
                Status::Incomplete,
                Some("content_filter"),
                "response.incomplete",
            ),
            _ => (Status::Completed, None, "response.completed"),
        };
        self.close(status, &mut events);
        self.response.status = status;
        self.response.incomplete = incomplete;
        self.response.usage = Some(usage);
        self.response.assay = assay;
        events.push(self.state(last));
        Ok(events)
    }

    /// The last events of a response that cannot go on.
    pub fn fail(&mut self, error: Error) -> Vec<Event> {
        let mut events = self.start();
        self.finish = None;
        self.response.status = Status::Failed;
        self.response.error = Some(error);
        events.push(self.state("response.failed"));
        events
    }

    fn event(&mut self, name: &'static str, body: Value) -> Event {
        let sequence_number = self.sequence;
        self.sequence = sequence_number.saturating_add(1);
        Event {
            r#type: name,
            sequence_number,
            body,
        }
    }

    /// An event that carries the response as it is.
    fn state(&mut self, name: &'static str) -> Event {
        let body = json!({ "response": self.response });
        self.event(name, body)
    }

    /// The index of the last item.
    fn last(&self) -> usize {
        self.response.output.len().saturating_sub(1)
    }

    fn added(&mut self, item: Item, events: &mut Vec<Event>) {
        self.response.output.push(item.clone());
        let body = json!({"output_index": self.last(), "item": item});
        events.push(self.event("response.output_item.added", body));
    }

    fn text(&mut self, more: &str, logprobs: Vec<TokenLogprob>, events: &mut Vec<Event>) {
        if !matches!(self.response.output.last(), Some(Item::Message { .. })) {
            self.close(Status::Completed, events);
            self.open_message(events);
        }
        let index = self.last();
        let Some(Item::Message { id, text, .. }) = self.response.output.last_mut() else {
            return;
        };
        let id = id.clone();
        let known = text.get_or_insert_default();
        known.text.push_str(more);
        known.logprobs.extend(logprobs.iter().cloned());
        if more.is_empty() && logprobs.is_empty() {
            return;
        }
        let body = json!({
            "item_id": id, "output_index": index, "content_index": 0, "delta": more, "logprobs": logprobs,
        });
        events.push(self.event("response.output_text.delta", body));
    }

    fn open_message(&mut self, events: &mut Vec<Event>) {
        let id = format!("msg_{}_{}", self.suffix, self.response.output.len());
        let item = Item::Message {
            id: id.clone(),
            status: Status::InProgress,
            text: None,
        };
        self.added(item, events);
        let body = json!({
            "item_id": id, "output_index": self.last(), "content_index": 0, "part": Text::default(),
        });
        events.push(self.event("response.content_part.added", body));
    }

    fn open_call(&mut self, call_id: String, name: String, events: &mut Vec<Event>) {
        let id = format!("fc_{}_{}", self.suffix, self.response.output.len());
        let item = Item::Call {
            id,
            status: Status::InProgress,
            call_id,
            name,
            arguments: String::new(),
        };
        self.added(item, events);
    }

    fn arguments(&mut self, more: &str, events: &mut Vec<Event>) -> Result<(), Error> {
        let index = self.last();
        let Some(Item::Call { id, arguments, .. }) = self.response.output.last_mut() else {
            return Err(wrong_order("arguments come without a call"));
        };
        arguments.push_str(more);
        let body = json!({"item_id": id, "output_index": index, "delta": more});
        events.push(self.event("response.function_call_arguments.delta", body));
        Ok(())
    }

    /// Ends the last item, if there is one.
    fn close(&mut self, end: Status, events: &mut Vec<Event>) {
        let index = self.last();
        let Some(item) = self.response.output.last_mut() else {
            return;
        };
        let mut done: Vec<(&'static str, Value)> = Vec::new();
        match item {
            Item::Message { id, status, text } => {
                *status = end;
                let text = text.get_or_insert_default();
                let said = json!({
                    "item_id": id, "output_index": index, "content_index": 0,
                    "text": text.text, "logprobs": text.logprobs,
                });
                let part = json!({
                    "item_id": id, "output_index": index, "content_index": 0, "part": text,
                });
                done.push(("response.output_text.done", said));
                done.push(("response.content_part.done", part));
            }
            Item::Call {
                id,
                status,
                name,
                arguments,
                ..
            } => {
                *status = end;
                let whole = json!({
                    "item_id": id, "output_index": index, "name": name, "arguments": arguments,
                });
                done.push(("response.function_call_arguments.done", whole));
            }
        }
        let body = json!({"output_index": index, "item": item});
        done.push(("response.output_item.done", body));
        for (name, body) in done {
            events.push(self.event(name, body));
        }
    }
}
