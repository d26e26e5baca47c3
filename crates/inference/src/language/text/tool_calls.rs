//! Tool calls within the text that a model writes.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::limits::{HELD_SPACE_MAX, TOOL_CALL_BYTES_MAX, TOOL_CALLS_MAX};

/// How a model writes tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolFormat {
    /// `<tool_call>{"name": .., "arguments": {..}}</tool_call>`, once for each: Hermes, Qwen.
    Hermes,
    /// `[TOOL_CALLS] [{"name": .., "arguments": {..}}, ..]`: Mistral.
    Mistral,
    /// `{"name": .., "parameters": {..}}` instead of an answer: Llama 3.1.
    Llama,
}

impl ToolFormat {
    /// The format that a chat template teaches; none for a template without tools and for formats that are not read:
    /// those that do not carry arguments as one JSON object.
    pub fn of(template: &str) -> Option<Self> {
        let has = |text| template.contains(text);
        let other = has("<function=") || has("[ARGS]") || has("<arg_key>") || has("[CALL_ID]");
        if other {
            None
        } else if has("<tool_call>") {
            Some(Self::Hermes)
        } else if has("[TOOL_CALLS]") {
            Some(Self::Mistral)
        } else {
            (has("ipython") && has("\"parameters\"")).then_some(Self::Llama)
        }
    }

    /// Names of the tokens that open and close a call. Where a vocabulary has them as special tokens, a decoder has to
    /// show them: [`super::Decoder::showing`].
    pub fn markers(self) -> &'static [&'static str] {
        match self {
            Self::Hermes => &["<tool_call>", "</tool_call>"],
            Self::Mistral => &["[TOOL_CALLS]"],
            Self::Llama => &[],
        }
    }

    fn opener(self) -> Option<&'static str> {
        self.markers().first().copied()
    }

    fn closer(self) -> Option<&'static str> {
        self.markers().get(1).copied()
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The tool's name: at most 64 letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// The arguments, a JSON object as text.
    pub arguments: String,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text for the reader.
    Content(String),
    /// A call that is complete.
    Call(ToolCall),
}

/// Splits an answer into content and calls, whatever pieces the answer comes in.
///
/// A call that is no JSON object of a name and arguments, is not closed, or is longer than [`TOOL_CALL_BYTES_MAX`] is
/// content. White space beside calls is neither.
#[derive(Debug, Clone)]
pub struct ToolCalls {
    format: ToolFormat,
    state: State,
    /// Text that may be part of a call.
    held: String,
    calls: usize,
    out: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Looking for what opens a call.
    Content,
    /// Opened; the JSON has not begun.
    Before,
    /// In the JSON, which begins there in the held text.
    Within { from: usize, nesting: Nesting },
    /// The JSON that begins there and ends there is complete; so many bytes of the closing marker were there.
    After {
        from: usize,
        to: usize,
        closed: usize,
    },
    /// No call can follow.
    Rest,
}

/// How deep in brackets a JSON text is.
#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    depth: usize,
    quoted: bool,
    escaped: bool,
}

impl Nesting {
    fn step(&mut self, character: char) {
        match (self.quoted, self.escaped, character) {
            (true, true, _) => self.escaped = false,
            (true, false, '\\') => self.escaped = true,
            (_, _, '"') => self.quoted = !self.quoted,
            (false, _, '{' | '[') => self.depth = self.depth.saturating_add(1),
            (false, _, '}' | ']') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[derive(Deserialize)]
struct Written {
    name: String,
    #[serde(alias = "parameters")]
    arguments: Map<String, Value>,
}

impl ToolCalls {
    /// At the beginning of an answer.
    pub fn new(format: ToolFormat) -> Self {
        Self {
            format,
            state: match format.opener() {
                Some(_) => State::Content,
                None => State::Before,
            },
            held: String::new(),
            calls: 0,
            out: Vec::new(),
        }
    }

    /// Takes the next piece of the answer and gives what is certain.
    pub fn push(&mut self, piece: &str) -> Vec<Piece> {
        for character in piece.chars() {
            self.step(character);
        }
        std::mem::take(&mut self.out)
    }

    /// What is left when the answer has ended.
    pub fn finish(mut self) -> Vec<Piece> {
        let space = match self.state {
            State::Content => self.held.trim().is_empty(),
            State::Before => {
                self.format.opener().is_none() && self.held.trim_matches(beside).is_empty()
            }
            _ => false,
        };
        if !(space && self.calls > 0) {
            self.release();
        }
        self.out
    }

    /// How many calls were found.
    pub fn found(&self) -> usize {
        self.calls
    }

    fn step(&mut self, character: char) {
        self.held.push(character);
        match self.state {
            State::Rest => self.release(),
            State::Content => self.look(),
            State::Before => self.begin(character),
            State::Within { from, mut nesting } => {
                nesting.step(character);
                self.state = State::Within { from, nesting };
                if nesting.depth == 0 && !nesting.quoted {
                    self.complete(from);
                }
            }
            State::After { from, to, closed } => self.close(character, from, to, closed),
        }
        if self.held.len() > TOOL_CALL_BYTES_MAX {
            self.fail();
        }
    }

    /// Gives the held text as content.
    fn release(&mut self) {
        let text = std::mem::take(&mut self.held);
        self.content(&text);
    }

    fn content(&mut self, text: &str) {
        match self.out.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Content(before)) => before.push_str(text),
            _ => self.out.push(Piece::Content(text.to_owned())),
        }
    }

    /// What was taken for a call is content.
    fn fail(&mut self) {
        self.release();
        self.state = match self.format.opener() {
            Some(_) => State::Content,
            None => State::Rest,
        };
    }

    /// As [`Self::fail`], but the last character may begin the next call.
    fn fail_before(&mut self, character: char) {
        self.held.pop();
        self.fail();
        if matches!(self.state, State::Content) {
            self.held.push(character);
            self.look();
        } else {
            self.content(character.encode_utf8(&mut [0; 4]));
        }
    }

    /// Keeps of the held text what may be white space before a call and the beginning of its marker.
    fn look(&mut self) {
        let opener = self.format.opener().unwrap_or_default();
        if self.held.trim_start() == opener {
            self.state = State::Before;
            return;
        }
        let mut starts = self.held.char_indices().map(|(at, _)| at);
        let may = |at: &usize| {
            let end = self.held.get(*at..).unwrap_or_default();
            opener.starts_with(end.trim_start())
        };
        let keep = starts.find(may).unwrap_or(self.held.len());
        let kept = self.held.split_off(keep);
        self.release();
        self.held = kept;
        if self.held.trim_start().is_empty() && self.held.chars().count() > HELD_SPACE_MAX {
            self.release();
        }
    }

    fn begin(&mut self, character: char) {
        let bracket = match self.format {
            ToolFormat::Mistral => '[',
            ToolFormat::Hermes | ToolFormat::Llama => '{',
        };
        let again = self.format.opener().is_none() && self.calls > 0;
        if character == bracket {
            let mut nesting = Nesting::default();
            nesting.step(character);
            let from = self.held.len().saturating_sub(1);
            self.state = State::Within { from, nesting };
        } else if !(character.is_whitespace() || (again && beside(character))) {
            self.fail_before(character);
        }
    }

    /// The JSON text from there on is complete.
    fn complete(&mut self, from: usize) {
        let to = self.held.len();
        match self.format.closer() {
            Some(_) => {
                self.state = State::After {
                    from,
                    to,
                    closed: 0,
                }
            }
            None => self.take(from, to),
        }
    }

    fn close(&mut self, character: char, from: usize, to: usize, closed: usize) {
        let closer = self.format.closer().unwrap_or_default();
        let rest = closer.get(closed..).unwrap_or_default();
        if closed == 0 && character.is_whitespace() {
            return;
        }
        if !rest.starts_with(character) {
            self.fail_before(character);
            return;
        }
        let closed = closed.saturating_add(character.len_utf8());
        self.state = State::After { from, to, closed };
        if closed == closer.len() {
            self.take(from, to);
        }
    }

    /// Takes the calls of a complete JSON text.
    fn take(&mut self, from: usize, to: usize) {
        let text = self.held.get(from..to).unwrap_or_default();
        let calls = calls(self.format, text).unwrap_or_default();
        let total = self.calls.saturating_add(calls.len());
        if calls.is_empty() || total > TOOL_CALLS_MAX {
            self.fail();
            return;
        }
        self.calls = total;
        self.out.extend(calls.into_iter().map(Piece::Call));
        self.held.clear();
        self.state = match self.format.opener() {
            Some(_) => State::Content,
            None => State::Before,
        };
    }
}

/// What stands between two calls of Llama's format.
fn beside(character: char) -> bool {
    character.is_whitespace() || character == ';'
}

/// The calls of a JSON text; none if it is anything else.
fn calls(format: ToolFormat, text: &str) -> Option<Vec<ToolCall>> {
    let written: Vec<Written> = match format {
        ToolFormat::Mistral => serde_json::from_str(text).ok()?,
        ToolFormat::Hermes | ToolFormat::Llama => vec![serde_json::from_str(text).ok()?],
    };
    let call = |written: Written| {
        let arguments = Value::Object(written.arguments).to_string();
        is_tool_name(&written.name).then_some(ToolCall {
            name: written.name,
            arguments,
        })
    };
    written.into_iter().map(call).collect()
}

/// True for what OpenAI's API takes as the name of a function, and dots.
pub(super) fn is_tool_name(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All pieces of a text that comes in these parts, neighbouring contents joined.
    fn split<'a>(format: ToolFormat, parts: impl IntoIterator<Item = &'a str>) -> Vec<Piece> {
        let mut calls = ToolCalls::new(format);
        let mut all: Vec<Piece> = Vec::new();
        let mut pieces: Vec<Piece> = parts
            .into_iter()
            .flat_map(|part| calls.push(part))
            .collect();
        pieces.extend(calls.finish());
        for piece in pieces {
            match (all.last_mut(), piece) {
                (Some(Piece::Content(before)), Piece::Content(text)) => before.push_str(&text),
                (_, piece) => all.push(piece),
            }
        }
        all
    }

    fn content(text: &str) -> Piece {
        Piece::Content(text.into())
    }

    fn call(name: &str, arguments: &str) -> Piece {
        Piece::Call(ToolCall {
            name: name.into(),
            arguments: arguments.into(),
        })
    }

    #[test]
    fn hermes_calls_are_found() {
        let check = |text: &str, expect: &[Piece]| {
            assert_eq!(split(ToolFormat::Hermes, [text]), expect, "{text}")
        };
        check("Hello  ", &[content("Hello  ")]);
        let json = r#"{"name": "f", "arguments": {"b": "</tool_call>{\"", "a": 1}}"#;
        let one = format!("<tool_call>\n{json}\n</tool_call>");
        let f = call("f", r#"{"b":"</tool_call>{\"","a":1}"#);
        check(&one, std::slice::from_ref(&f));
        check(
            &format!("I look. \n{one}\n{one}\n"),
            &[content("I look."), f.clone(), f.clone()],
        );
        check(&format!("{one} done"), &[f.clone(), content(" done")]);
        check(
            &format!("<tool_call>{one}"),
            &[content("<tool_call>"), f.clone()],
        );
        check("a < b <tool", &[content("a < b <tool")]);
    }

    #[test]
    fn what_is_no_hermes_call_stays_content() {
        for text in [
            "<tool_call>",
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}",
            "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool",
            "<tool_call>{\"name\": \"f\", \"arguments\": {}} x</tool_call>",
            "<tool_call>{\"name\": \"f\", \"arguments\": []}</tool_call>",
            "<tool_call>{\"name\": \"f\", \"arguments\": \"{}\"}</tool_call>",
            "<tool_call>{\"name\": \"f\"}</tool_call>",
            "<tool_call>{\"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": \"\", \"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": \"a b\", \"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": 1, \"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": \"f\", \"name\": \"g\", \"arguments\": {}}</tool_call>",
            "<tool_call>{'name': 'f', 'arguments': {}}</tool_call>",
            "<tool_call>{\"name\": \"f\", \"arguments\": {]}</tool_call>",
            "<tool_call>f({})</tool_call>",
            "<tool_call>[{\"name\": \"f\", \"arguments\": {}}]</tool_call>",
            "</tool_call>",
            "< tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>",
        ] {
            assert_eq!(split(ToolFormat::Hermes, [text]), [content(text)]);
        }
    }

    #[test]
    fn mistral_and_llama_calls_are_found() {
        let mistral = |text: &str| split(ToolFormat::Mistral, [text]);
        let two = r#"[TOOL_CALLS] [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {"x": [1]}, "id": "9"}]"#;
        assert_eq!(mistral(two), [call("f", "{}"), call("g", r#"{"x":[1]}"#)]);
        for text in [
            "[TOOL_CALLS] []",
            "[TOOL_CALLS] f",
            "[TOOL_CALLS] [{}]",
            "[TOOL_CALLS]",
            "[[TOOL_CALLS",
        ] {
            assert_eq!(mistral(text), [content(text)]);
        }
        let llama = |text: &str| split(ToolFormat::Llama, [text]);
        let one = r#"{"name": "f", "parameters": {"x": 1}}"#;
        let f = call("f", r#"{"x":1}"#);
        assert_eq!(llama(&format!(" {one}")), std::slice::from_ref(&f));
        assert_eq!(llama(&format!("{one}; {one}\n")), [f.clone(), f.clone()]);
        assert_eq!(llama(&format!("{one} and")), [f.clone(), content(" and")]);
        for text in [
            &format!("See {one}"),
            r#"{"name": "f"}"#,
            "{",
            "  ",
            ";",
            "{}{}",
        ] {
            assert_eq!(llama(text), [content(text)]);
        }
    }

    #[test]
    fn calls_are_bounded_in_length_and_number() {
        let long = format!(
            "<tool_call>{{\"name\": \"f\", \"arguments\": {{\"a\": \"{}\"}}}}</tool_call>",
            "x".repeat(1 << 16)
        );
        assert_eq!(split(ToolFormat::Hermes, [long.as_str()]), [content(&long)]);
        let one = r#"<tool_call>{"name": "f", "arguments": {}}</tool_call>"#;
        let many = split(
            ToolFormat::Hermes,
            [one.repeat(TOOL_CALLS_MAX + 1).as_str()],
        );
        assert_eq!(many.len(), TOOL_CALLS_MAX + 1);
        assert_eq!(many.last(), Some(&content(one)));
    }

    #[test]
    fn the_format_is_known_by_the_template() {
        for (template, expect) in [
            ("return <tool_call> JSON", Some(ToolFormat::Hermes)),
            ("{{ '[TOOL_CALLS] [' }}", Some(ToolFormat::Mistral)),
            (
                "Environment: ipython {\"name\": n, \"parameters\": p}",
                Some(ToolFormat::Llama),
            ),
            ("<tool_call><function=f>", None),
            ("[TOOL_CALLS]f[ARGS]{}", None),
            ("{{ messages }}", None),
            ("ipython", None),
        ] {
            assert_eq!(ToolFormat::of(template), expect, "{template}");
        }
    }

    fn parts() -> impl Strategy<Value = Vec<String>> {
        let known = prop::sample::select(vec![
            "<tool_call>",
            "</tool_call>",
            "<tool",
            "[TOOL_CALLS]",
            "[TOOL",
            "\n",
            "  ",
            "{",
            "}",
            "[",
            "]",
            ";",
            "é",
            "{\"name\": \"f\", \"arguments\": {}}",
            "{\"name\": \"f\", \"parameters\": {\"a\": \"}\\\"\"}}",
            "\"",
            "\\",
            "<",
            "a",
            "[{\"name\": \"f\", \"arguments\": {}}]",
        ]);
        prop::collection::vec(known.prop_map(String::from), 0..12)
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(parts in parts(), width in 1usize..9, which in 0usize..3) {
            let format = [ToolFormat::Hermes, ToolFormat::Mistral, ToolFormat::Llama][which];
            let text = parts.concat();
            let whole = split(format, [text.as_str()]);
            let characters: Vec<char> = text.chars().collect();
            let cut: Vec<String> = characters.chunks(width).map(|chunk| chunk.iter().collect()).collect();
            prop_assert_eq!(&split(format, cut.iter().map(String::as_str)), &whole);
            prop_assert_eq!(&split(format, parts.iter().map(String::as_str)), &whole);
            // What is content is of the text, in its order.
            let mut rest = text.as_str();
            for piece in &whole {
                if let Piece::Content(content) = piece {
                    let at = rest.find(content.as_str());
                    prop_assert!(at.is_some(), "{:?} in {:?}", content, rest);
                    rest = &rest[at.unwrap() + content.len()..];
                }
            }
            if !whole.iter().any(|piece| matches!(piece, Piece::Call(_))) {
                prop_assert!(text.is_empty() || whole == vec![Piece::Content(text.clone())]);
            }
        }
    }
}
