//! The other side: what OpenAI-compatible servers (vLLM, SGLang, llama.cpp) answer to chat requests.
//!
//! Reading is lenient in what is there, since these servers add members of their own, and strict in how much.

use serde_json::Value;

use super::chat::{Chunk, Completion};
use super::{Error, Kind, Limits, models, sse};

/// Reads a whole answer with status 200.
///
/// # Errors
/// [`Kind::BadGateway`] for what is no chat completion or is over the limit; the server's own error if it sent one.
pub fn completion(body: &[u8], limits: &Limits) -> Result<Completion, Error> {
    bounded(body, limits)?;
    let document = document(body)?;
    let completion: Completion = typed(document)?;
    if completion.choices.is_empty() {
        return Err(unusable("it has no choice"));
    }
    Ok(completion)
}

/// Reads the list of models.
///
/// # Errors
/// As [`completion`].
pub fn models(body: &[u8], limits: &Limits) -> Result<models::List, Error> {
    bounded(body, limits)?;
    typed(document(body)?)
}

/// What a stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A part of the answer.
    Chunk(Box<Chunk>),
    /// The stream is complete.
    Done,
}

/// Reads a stream of chunks from bytes that come in any portions.
#[derive(Debug)]
pub struct ChunkReader {
    parser: sse::Parser,
    left: usize,
    done: bool,
}

impl ChunkReader {
    /// A reader of one stream.
    pub const fn new(limits: &Limits) -> Self {
        Self {
            parser: sse::Parser::new(limits),
            left: limits.body_bytes,
            done: false,
        }
    }

    /// The events that these bytes complete; nothing after [`Event::Done`].
    ///
    /// # Errors
    /// [`Kind::BadGateway`] for what is no stream of chunks or is over the limits; the server's own error if it sent
    /// one in the stream. The events before it in the same portion are lost: the answer is broken anyway.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Error> {
        let left = self.left.checked_sub(bytes.len());
        self.left = left.ok_or_else(|| unusable("it is over the limit"))?;
        let mut events = Vec::new();
        for event in self.parser.push(bytes)? {
            if self.done {
                break;
            }
            let data = event.data.trim();
            if data == "[DONE]" {
                self.done = true;
                events.push(Event::Done);
            } else if !data.is_empty() {
                let chunk: Chunk = typed(document(data.as_bytes())?)?;
                events.push(Event::Chunk(Box::new(chunk)));
            }
        }
        Ok(events)
    }

    /// Whether the stream said that it is complete: a connection that ends before was cut.
    pub const fn is_done(&self) -> bool {
        self.done
    }
}

fn bounded(body: &[u8], limits: &Limits) -> Result<(), Error> {
    if body.len() > limits.body_bytes {
        return Err(unusable("it is over the limit"));
    }
    Ok(())
}

/// A JSON object that is no error.
fn document(bytes: &[u8]) -> Result<Value, Error> {
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| unusable(&error.to_string()))?;
    let failed = document.get("error").is_some_and(|error| !error.is_null());
    let failed = failed || document.get("object").and_then(Value::as_str) == Some("error");
    if failed {
        // In a stream, or under status 200, there is no status: the number within is the best that is known.
        let code = document.pointer("/error/code").or(document.get("code"));
        let status = code
            .and_then(Value::as_u64)
            .and_then(|code| u16::try_from(code).ok());
        let status = status.filter(|status| (400..600).contains(status));
        let error = Error::of_value(status.unwrap_or(500), &document);
        return Err(error.unwrap_or_else(|| unusable("it is an error without a message")));
    }
    Ok(document)
}

fn typed<T: serde::de::DeserializeOwned>(document: Value) -> Result<T, Error> {
    serde_json::from_value(document).map_err(|error| unusable(&error.to_string()))
}

fn unusable(reason: &str) -> Error {
    let reason = super::error::shown(reason);
    let message = format!("the server's answer cannot be used: {reason}");
    Error::new(Kind::BadGateway, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::chat::Join;
    use super::super::{FinishReason, Usage};
    use super::*;

    fn whole(value: &Value) -> Result<Completion, Error> {
        completion(value.to_string().as_bytes(), &Limits::default())
    }

    /// In the shape of vLLM's answers: members of its own, nulls where OpenAI has none.
    #[test]
    fn members_of_other_servers_are_passed_over() {
        let answer = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "service_tier": null,
            "system_fingerprint": null, "kv_transfer_params": null, "prompt_logprobs": null,
            "choices": [{"index": 0, "stop_reason": null, "token_ids": null, "finish_reason": "stop", "logprobs": null,
                "message": {"role": "assistant", "content": "a", "refusal": null, "annotations": null, "audio": null,
                    "function_call": null, "tool_calls": null, "reasoning_content": "r"}}],
            "usage": {"prompt_tokens": 1, "total_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": null},
        });
        let read = whole(&answer).unwrap();
        assert_eq!(read.choices[0].message.content.as_deref(), Some("a"));
        assert_eq!(read.usage.map(|usage| usage.total_tokens()), Some(3));
        let odd = json!({"choices": [{"message": {"content": null}, "finish_reason": "abort"}], "timings": {}});
        let reason = FinishReason::Other("abort".into());
        assert_eq!(whole(&odd).unwrap().choices[0].finish_reason, reason);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for answer in [
            json!(null),
            json!([]),
            json!({}),
            json!({"choices": []}),
            json!({"choices": {}}),
            json!({"choices": [{"finish_reason": "stop"}]}),
            json!({"choices": [{"message": {}, "finish_reason": null}]}),
            json!({"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}),
            json!({"choices": [{"message": {"tool_calls": [{}]}, "finish_reason": "stop"}]}),
            json!({"choices": [{"message": {}, "finish_reason": "stop", "index": -1}]}),
        ] {
            assert_eq!(whole(&answer).unwrap_err().status(), 502, "{answer}");
        }
        assert!(completion(b"{", &Limits::default()).is_err());
        let small = Limits {
            body_bytes: 5,
            ..Limits::default()
        };
        assert!(completion(b"{\"choices\":[]}", &small).is_err());
        assert!(ChunkReader::new(&small).push(b"data: ").is_err());
        let error = whole(&json!({"error": {"message": "full", "code": 503}})).unwrap_err();
        assert_eq!((error.status(), error.message.as_str()), (503, "full"));
        let error = whole(&json!({"object": "error", "message": "bad", "code": 400})).unwrap_err();
        assert_eq!((error.status(), error.message.as_str()), (400, "bad"));
    }

    const STREAM: &str = concat!(
        ": llama.cpp\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\u{f6}\"},\"logprobs\":null}],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":",
        "{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\",\"stop_reason\":7}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\n",
        "data: [DONE]\n\ndata: {not read}\n\n",
    );

    fn joined(portions: &[&[u8]]) -> Completion {
        let mut reader = ChunkReader::new(&Limits::default());
        let mut join = Join::default();
        for portion in portions {
            for event in reader.push(portion).unwrap() {
                if let Event::Chunk(chunk) = event {
                    join.push(*chunk).unwrap();
                }
            }
        }
        assert!(reader.is_done());
        join.finish().unwrap()
    }

    #[test]
    fn a_stream_is_joined() {
        let whole = joined(&[STREAM.as_bytes()]);
        let message = &whole.choices[0].message;
        assert_eq!(message.content.as_deref(), Some("aö"));
        assert_eq!(
            (
                message.tool_calls[0].id.as_str(),
                message.tool_calls[0].arguments.as_str()
            ),
            ("c", "{}")
        );
        let usage = Usage {
            prompt_tokens: 1,
            completion_tokens: 2,
            cached_tokens: 0,
        };
        assert_eq!(whole.usage, Some(usage));
    }

    #[test]
    fn broken_streams_are_refused() {
        for (stream, status) in [
            (
                "data: {\"error\":{\"message\":\"full\",\"code\":503}}\n\n",
                503,
            ),
            (
                "data: {\"error\":{\"message\":\"x\",\"code\":200}}\n\n",
                502,
            ),
            ("data: {\"error\":{}}\n\n", 502),
            ("data: {\n\n", 502),
            ("data: {\"choices\":5}\n\n", 502),
            ("data: {\"choices\":[{\"delta\":{\"content\":1}}]}\n\n", 502),
            ("data: \u{0}\n\n", 502),
        ] {
            let read = ChunkReader::new(&Limits::default()).push(stream.as_bytes());
            assert_eq!(read.unwrap_err().status(), status, "{stream}");
        }
        let mut cut = ChunkReader::new(&Limits::default());
        let (half, _) = STREAM.split_at(STREAM.find("data: [DONE]").unwrap_or_default());
        cut.push(half.as_bytes()).unwrap();
        assert!(!cut.is_done());
    }

    proptest! {
        #[test]
        fn any_cutting_of_a_stream_gives_the_same_answer(cuts in proptest::collection::vec(0..STREAM.len(), 0..30)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let portions: Vec<&[u8]> = cuts.windows(2).map(|c| &STREAM.as_bytes()[c[0]..c[1]]).collect();
            prop_assert_eq!(joined(&portions), joined(&[STREAM.as_bytes()]));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = completion(&bytes, &Limits::default());
            let mut stream = b"data: ".to_vec();
            stream.extend(bytes);
            stream.extend(b"\n\n");
            let _ = ChunkReader::new(&Limits::default()).push(&stream);
        }
    }
}
