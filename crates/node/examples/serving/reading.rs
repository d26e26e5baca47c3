//! The two protocols as a client reads them: no more than it takes to count tokens and to see the end.

use assay_inference::language::{Chat, Parameters, Prompt};
use assay_node::api::{
    MAX_DEADLINE_MS,
    generate::{GENERATE_PATH, GenerateRequest},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// That of nodes.
    Node,
    /// OpenAI's chat completions.
    OpenAi,
}

/// What is asked: about as long as a short instruction.
const CONTENT: &str = "Write a short and friendly note to the members of the chess club: the meeting on Thursday is moved to \
                       Friday at seven, in the same room as always, and whoever brings a guest should say so before noon.";

impl Protocol {
    /// Where questions go.
    pub fn path(self) -> &'static str {
        match self {
            Self::Node => GENERATE_PATH,
            Self::OpenAi => "/v1/chat/completions",
        }
    }

    /// A question for a model.
    pub fn question(self, model: &str) -> String {
        let messages = vec![json!({"role": "user", "content": CONTENT})];
        let question = match self {
            Self::OpenAi => Ok(json!({"model": model, "stream": true, "messages": messages})),
            Self::Node => serde_json::to_value(GenerateRequest {
                model: model.into(),
                prompt: Prompt::Chat(Chat {
                    messages,
                    tools: Vec::new(),
                    date: None,
                }),
                parameters: Parameters::default(),
                seed: 0,
                nonce: None,
                rung: None,
                deadline_ms: Some(MAX_DEADLINE_MS),
                likely: None,
                after: Vec::new(),
                parts: Vec::new(),
            }),
        };
        question.unwrap().to_string()
    }
}

/// A line of a node.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Began(IgnoredAny),
    Steps(Said),
    Alive,
    Ended(IgnoredAny),
    Failed(IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Said {
    steps: Vec<Text>,
}

#[derive(Debug, Deserialize)]
struct Text {
    text: String,
}

/// An event of OpenAI's.
#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    content: Option<String>,
}

/// Reads one answer.
#[derive(Debug)]
pub struct Reader {
    protocol: Protocol,
    line: Vec<u8>,
    /// Tokens so far.
    pub tokens: usize,
    /// Whether the end came.
    pub is_whole: bool,
}

impl Reader {
    /// Of an answer that begins.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            line: Vec::new(),
            tokens: 0,
            is_whole: false,
        }
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// What the server said went wrong, or that it cannot be read.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                match self.protocol {
                    Protocol::Node => self.frame(&line)?,
                    Protocol::OpenAi => self.event(&line)?,
                }
                self.line = line;
                self.line.clear();
            }
        }
        Ok(())
    }

    fn frame(&mut self, line: &[u8]) -> Result<(), String> {
        match serde_json::from_slice(line)
            .map_err(|error| format!("a line cannot be read: {error}"))?
        {
            Line::Began(_) | Line::Alive => {}
            Line::Steps(said) => {
                self.tokens += said
                    .steps
                    .iter()
                    .map(|step| spaces(&step.text))
                    .sum::<usize>()
            }
            Line::Ended(_) => self.is_whole = true,
            Line::Failed(_) => return Err("the node failed in the middle".into()),
        }
        Ok(())
    }

    fn event(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(data) = line.strip_prefix(b"data: ") else {
            return Ok(());
        };
        if data.trim_ascii() == b"[DONE]" {
            self.is_whole = true;
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_slice(data)
            .map_err(|error| format!("an event cannot be read: {error}"))?;
        if chunk.error.is_some() {
            return Err("an error in the middle".into());
        }
        let texts = chunk
            .choices
            .iter()
            .filter_map(|choice| choice.delta.content.as_deref());
        self.tokens += texts.map(spaces).sum::<usize>();
        Ok(())
    }
}

/// Each token of a stub has one.
fn spaces(text: &str) -> usize {
    text.matches(' ').count()
}
