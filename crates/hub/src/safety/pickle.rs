//! Pickles by their opcodes (CPython's `pickletools`, protocols 0 to 5), followed without doing what they say.
//!
//! A pickle is a program for a small machine. The scan keeps the machine's stack and memo as far as needed to know the two
//! strings that `STACK_GLOBAL` takes as a module and a name; it imports nothing and calls nothing. Opcodes take effect one
//! after the other, so that a pickle that breaks off has already run what stands before: what was found until then counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use serde::Serialize;

use crate::tensors::{Error, Source};

use super::{
    formats, head,
    opcodes::{Argument, Code, Effect},
    pieces::{Halt, Line, Pieces},
};

/// Imports that are listed; a pickle of more is no less code.
const MAX_IMPORTS: usize = 256;

/// Values on the machine's stack that are surely remembered, the topmost; pickles of models stay under a few thousand.
const MAX_STACK: usize = 1 << 18;

/// Entries of the memo that are followed.
const MAX_MEMO: usize = 1 << 18;

/// A longer string is kept as no name.
const MAX_NAME: usize = 256;

/// What is kept of a longer line, bytes.
const MAX_LINE: usize = 1 << 12;

/// Frames that reach beyond the STOP in them, behind which a further pickle is looked for.
const MAX_FRAMES: u32 = 64;

/// Opcodes that have to follow each other, the mark of a protocol first, until what breaks off counts as a pickle; noise
/// seldom gets so far.
const CERTAIN_STEPS: u64 = 5;

/// The same where not all of it may be read, and there may be no mark.
const MANY_STEPS: u64 = 1000;

/// Something that a pickle imports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Import {
    /// The module.
    pub module: String,
    /// The name in it, which may have dots.
    pub name: String,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}",
            self.module.escape_debug(),
            self.name.escape_debug()
        )
    }
}

/// What the pickles of a file would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pickle {
    /// The highest protocol that was announced; 0 where none is.
    pub protocol: u8,
    /// What is imported, as far as it stands there.
    pub imports: BTreeSet<Import>,
    /// Imports whose names are computed, or too many to list.
    pub hidden_imports: u64,
    /// Calls of what was imported, and changes of it: REDUCE, INST, OBJ, NEWOBJ, NEWOBJ_EX, BUILD, and APPEND, APPENDS,
    /// SETITEM, SETITEMS and ADDITEMS on what is no plain container.
    pub calls: u64,
    /// Objects that the loading program resolves: persistent ids and registered extensions.
    pub foreign: u64,
    /// Whether the last pickle that does something ended where it should.
    pub complete: bool,
}

impl fmt::Display for Pickle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pickle of protocol {}, {} calls, imports",
            self.protocol, self.calls
        )?;
        if self.imports.is_empty() && self.hidden_imports == 0 {
            f.write_str(" nothing")?;
        }
        for import in &self.imports {
            write!(f, " {import}")?;
        }
        if self.hidden_imports > 0 {
            write!(f, " and {} that are not shown", self.hidden_imports)?;
        }
        if self.complete {
            Ok(())
        } else {
            f.write_str(", broken off")
        }
    }
}

/// Whether these first bytes can begin a pickle.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    match bytes {
        [0x80, protocol, ..] => *protocol <= 5,
        [first, ..] => Code::of(*first).is_some(),
        [] => false,
    }
}

/// What a scan found.
#[derive(Debug)]
pub(super) enum Scan {
    /// Pickles that count as code.
    Pickle(Pickle),
    /// None, as far as anybody can load it.
    Nothing,
    /// What may be read did not suffice to tell.
    TooMuch,
}

/// Scans for pickles from `start` on, reading at most `most` bytes; and how many were read.
///
/// Without the mark of protocol 2 and later anything may look like one for a while. It counts only if it imports what
/// can be imported, and does something with that, or ends well after that, or is no text.
pub(super) fn scan<S: Source + ?Sized>(
    file: &S,
    start: u64,
    most: u64,
) -> Result<(Scan, u64), Error> {
    let mut found = Pickle::default();
    let mut bytes = Pieces::new(file, start, most);
    let text = formats::is_text(&head(file, start, 512)?);
    let (mut certain, mut later) = (false, false);
    let (mut frames, mut left) = (Vec::new(), MAX_FRAMES);
    let halt = loop {
        let mut machine = Machine::new(&mut bytes, &mut found, later);
        let halt = machine.run().err();
        let (ended, frame) = (halt.is_none(), machine.frame);
        certain |= machine.marked && (ended || machine.imported || machine.steps >= CERTAIN_STEPS);
        certain |= machine.acts || (machine.imported && (ended || !text));
        certain |= matches!(halt, Some(Halt::Spent)) && machine.steps >= MANY_STEPS;
        // A later pickle that is none does not make the first ones incomplete.
        let counts = !later || machine.imported || machine.acts;
        found.complete = ended || (found.complete && !counts);
        later = true;
        if ended && frame > bytes.at() && left > 0 {
            left = left.saturating_sub(1);
            frames.push(frame);
        }
        // CPython's unpickler in Python goes on behind the frame, the one in C behind STOP.
        match (halt, frames.pop()) {
            (None, frame) => frames.extend(frame),
            (Some(Halt::Broken), Some(frame)) => bytes.jump(frame),
            (halt, _) => break halt,
        }
    };
    let scan = match halt {
        Some(Halt::Source(error)) => return Err(error),
        _ if certain => Scan::Pickle(found),
        Some(Halt::Spent) => Scan::TooMuch,
        _ => Scan::Nothing,
    };
    Ok((scan, bytes.spent()))
}

/// Whether Python can have a module of that name.
fn is_module(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
    };
    text.split('.').all(part)
}

/// A line that is drawn under a heading of a text: no name that a module has.
fn is_underline(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next();
    first.is_some_and(|c| c.is_ascii_punctuation() && c != '_')
        && text.len() >= 3
        && characters.all(|c| Some(c) == first)
}

/// A value on the stack, as far as it matters.
#[derive(Debug, Clone)]
enum Value {
    Mark,
    Text(Rc<str>),
    /// A number, a truth value, nothing: what cannot be called, and with what nothing can be called.
    Number,
    /// Bytes or a plain container, which cannot be called.
    Plain,
    /// What was imported, what a call returns, or what is no longer followed; it may be text.
    Unknown,
}

/// One half of what is imported.
enum Name {
    Known(Rc<str>),
    /// Computed, or too long to be kept.
    Hidden,
    /// Python imports nothing by it: it is no text.
    Impossible,
}

impl From<Value> for Name {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => Self::Known(text),
            Value::Unknown => Self::Hidden,
            Value::Mark | Value::Number | Value::Plain => Self::Impossible,
        }
    }
}

/// An opcode's argument.
enum Given {
    Nothing,
    Number(u64),
    /// `None` where it is too long to be kept.
    Text(Option<Vec<u8>>),
    Line(Line),
    Lines(Line, Line),
}

struct Machine<'a, 'b, S: ?Sized> {
    bytes: &'a mut Pieces<'b, S>,
    found: &'a mut Pickle,
    stack: Vec<Value>,
    /// Whether there is more below the stack that is no longer remembered.
    deep: bool,
    /// The memo by index. MEMOIZE takes the number of entries as its index.
    memo: BTreeMap<u64, Value>,
    /// Whether the memo has grown too large to be followed, or an index cannot be told: nothing in it is known then.
    lost: bool,
    /// Whether it is not the first one of the file: one that loads several keeps the memo.
    later: bool,
    steps: u64,
    /// Where the last frame ends.
    frame: u64,
    /// Whether it begins with the mark of a protocol, and whether such a mark was anywhere.
    marked: bool,
    announced: bool,
    /// Whether something was imported that can be, and whether something was done with that.
    imported: bool,
    acts: bool,
}

impl<'a, 'b, S: Source + ?Sized> Machine<'a, 'b, S> {
    const fn new(bytes: &'a mut Pieces<'b, S>, found: &'a mut Pickle, later: bool) -> Self {
        Self {
            bytes,
            found,
            stack: Vec::new(),
            deep: false,
            memo: BTreeMap::new(),
            lost: false,
            later,
            steps: 0,
            frame: 0,
            marked: false,
            announced: false,
            imported: false,
            acts: false,
        }
    }

    /// Runs to STOP.
    fn run(&mut self) -> Result<(), Halt> {
        loop {
            let byte = self.bytes.byte()?;
            let code = Code::of(byte).ok_or(Halt::Broken)?;
            let given = self.argument(&code)?;
            self.effect(byte, code.effect, given)?;
            self.steps = self.steps.saturating_add(1);
            if matches!(code.effect, Effect::Stop) {
                return Ok(());
            }
        }
    }

    fn argument(&mut self, code: &Code) -> Result<Given, Halt> {
        Ok(match code.argument {
            Argument::None => Given::Nothing,
            Argument::Fixed(width) => Given::Number(self.bytes.number(width)?),
            Argument::Line => Given::Line(self.bytes.line(MAX_LINE)?),
            Argument::TwoLines => {
                Given::Lines(self.bytes.line(MAX_LINE)?, self.bytes.line(MAX_LINE)?)
            }
            Argument::Counted(width) => {
                let length = self.bytes.number(width)?;
                let most = match code.effect {
                    Effect::PushText => MAX_NAME,
                    _ => 0,
                };
                Given::Text(self.bytes.bytes(length, most)?)
            }
        })
    }

    fn push(&mut self, value: Value) -> Result<(), Halt> {
        if self.stack.len() >= MAX_STACK.saturating_mul(2) {
            self.stack.drain(..MAX_STACK);
            self.deep = true;
        }
        self.stack.push(value);
        Ok(())
    }

    /// The topmost value; nothing but POP takes a mark.
    fn pop(&mut self) -> Result<Value, Halt> {
        match self.stack.pop() {
            Some(Value::Mark) => Err(Halt::Broken),
            Some(value) => Ok(value),
            None if self.deep => Ok(Value::Unknown),
            None => Err(Halt::Broken),
        }
    }

    fn top(&self) -> Result<Value, Halt> {
        match self.stack.last() {
            Some(Value::Mark) => Err(Halt::Broken),
            Some(value) => Ok(value.clone()),
            None if self.deep => Ok(Value::Unknown),
            None => Err(Halt::Broken),
        }
    }

    /// Pops to the mark: the values above it, the topmost first.
    fn pop_to_mark(&mut self) -> Result<Vec<Value>, Halt> {
        let mut values = Vec::new();
        loop {
            match self.stack.pop() {
                Some(Value::Mark) => return Ok(values),
                Some(value) => values.push(value),
                None if self.deep => {
                    values.push(Value::Unknown);
                    return Ok(values);
                }
                None => return Err(Halt::Broken),
            }
        }
    }

    fn effect(&mut self, byte: u8, effect: Effect, given: Given) -> Result<(), Halt> {
        match (effect, given) {
            (Effect::Nothing, Given::Number(length)) => {
                self.frame = self.bytes.at().saturating_add(length);
                Ok(())
            }
            (Effect::Nothing, _) => Ok(()),
            (Effect::Protocol, Given::Number(protocol @ 0..=5)) => {
                self.found.protocol = self.found.protocol.max(protocol as u8);
                self.marked |= self.steps == 0;
                self.announced = true;
                Ok(())
            }
            (Effect::Stop, _) => self.pop().map(|_| ()),
            (Effect::Push, Given::Line(line)) => {
                is_number(&line.bytes, byte == b'F')
                    .then_some(())
                    .ok_or(Halt::Broken)?;
                self.push(Value::Number)
            }
            (Effect::Push, _) => self.push(Value::Number),
            (Effect::PushPlain, _) => self.push(Value::Plain),
            (Effect::PushText, Given::Text(text)) => {
                self.push(text.and_then(|text| known(&text)).unwrap_or(Value::Unknown))
            }
            (Effect::PushText, Given::Line(line)) => self.push(written(byte, &line)?),
            (Effect::PushMark, _) => self.push(Value::Mark),
            (Effect::Pop, _) => match self.stack.pop() {
                None if !self.deep => Err(Halt::Broken),
                _ => Ok(()),
            },
            (Effect::Make(count), _) => {
                for _ in 0..count {
                    self.pop()?;
                }
                self.push(Value::Plain)
            }
            (Effect::PopToMark, _) => self.pop_to_mark().map(|_| ()),
            (Effect::MakeToMark, _) => {
                self.pop_to_mark()?;
                self.push(Value::Plain)
            }
            (Effect::Duplicate, _) => {
                let top = self.top()?;
                self.push(top)
            }
            (Effect::Memoize, _) => self.put(Some(self.memo.len() as u64)),
            (Effect::Put, given) => {
                let index = index(&given)?;
                self.put(index)
            }
            (Effect::Recall, given) => {
                let index = index(&given)?;
                self.recall(index)
            }
            (effect, given) => self.outward(effect, given),
        }
    }

    /// What reaches beyond the machine: imports, calls, changes, and objects of the loading program.
    fn outward(&mut self, effect: Effect, given: Given) -> Result<(), Halt> {
        match (effect, given) {
            (Effect::Global, Given::Lines(module, attribute)) => {
                let imported = self.import(name(&module, true), name(&attribute, false));
                self.push(imported)
            }
            (Effect::StackGlobal, _) => {
                let attribute = self.pop()?;
                let module = self.pop()?;
                let imported = self.import(module.into(), attribute.into());
                self.push(imported)
            }
            (Effect::Inst, Given::Lines(module, attribute)) => {
                let imported = self.import(name(&module, true), name(&attribute, false));
                self.pop_to_mark()?;
                self.call(&imported)
            }
            (Effect::Call(count), _) => {
                for _ in 1..count {
                    // No opcode calls with a number for a list of arguments.
                    if matches!(self.pop()?, Value::Number) && !self.announced {
                        return Err(Halt::Broken);
                    }
                }
                let callee = self.pop()?;
                self.call(&callee)
            }
            (Effect::CallToMark, _) => {
                let values = self.pop_to_mark()?;
                self.call(values.last().ok_or(Halt::Broken)?)
            }
            (Effect::Add(count), _) => {
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.pop()?);
                }
                self.change(&values)
            }
            (Effect::AddToMark, _) => {
                let values = self.pop_to_mark()?;
                self.change(&values)
            }
            (Effect::Build, _) => {
                self.pop()?;
                self.act(&self.top()?);
                Ok(())
            }
            (Effect::Persistent(count), _) => {
                for _ in 0..count {
                    self.pop()?;
                }
                self.found.foreign = self.found.foreign.saturating_add(1);
                self.push(Value::Unknown)
            }
            _ => Err(Halt::Broken),
        }
    }

    fn put(&mut self, index: Option<u64>) -> Result<(), Halt> {
        let value = self.top()?;
        match index {
            Some(index) if self.memo.len() < MAX_MEMO || self.memo.contains_key(&index) => {
                self.memo.insert(index, value);
            }
            _ => self.lost = true,
        }
        Ok(())
    }

    fn recall(&mut self, index: Option<u64>) -> Result<(), Halt> {
        let known = index.and_then(|index| self.memo.get(&index)).cloned();
        let known = match known.filter(|_| !self.lost) {
            None if index.is_some() && !(self.lost || self.announced || self.later) => {
                return Err(Halt::Broken);
            }
            known => known.unwrap_or(Value::Unknown),
        };
        self.push(known)
    }

    /// Something is done with this value: if it can be code, that counts.
    fn act(&mut self, with: &Value) {
        if matches!(with, Value::Unknown) {
            self.found.calls = self.found.calls.saturating_add(1);
            self.acts |= self.imported;
        }
    }

    fn call(&mut self, callee: &Value) -> Result<(), Halt> {
        if !matches!(callee, Value::Unknown) {
            return Err(Halt::Broken);
        }
        self.act(callee);
        self.push(Value::Unknown)
    }

    /// Values are added to what is on top. Plain containers take them and do nothing else.
    fn change(&mut self, values: &[Value]) -> Result<(), Halt> {
        let to = self.top()?;
        // Numbers alone do no harm, and texts look like this by chance.
        if values.iter().any(|value| !matches!(value, Value::Number)) {
            self.act(&to);
        }
        Ok(())
    }

    /// An import: what it pushes.
    fn import(&mut self, module: Name, attribute: Name) -> Value {
        let found = &mut *self.found;
        let (possible, import) = match (module, attribute) {
            (Name::Impossible, _) | (_, Name::Impossible) => (false, None),
            (Name::Known(module), attribute) => {
                let module_is = self.announced && !module.is_empty() || is_module(&module);
                match attribute {
                    Name::Known(name) => {
                        let possible = module_is && (self.announced || !is_underline(&name));
                        let (module, name) = (module.to_string(), name.to_string());
                        (possible, Some(Import { module, name }))
                    }
                    _ => (module_is, None),
                }
            }
            _ => (true, None),
        };
        self.imported |= possible;
        match import {
            Some(import) if found.imports.len() < MAX_IMPORTS => {
                found.imports.insert(import);
            }
            _ => found.hidden_imports = found.hidden_imports.saturating_add(1),
        }
        match possible || self.announced {
            true => Value::Unknown,
            false => Value::Plain,
        }
    }
}

/// A name as GLOBAL and INST write it. A longer one is hidden, except of a module that none has.
fn name(line: &Line, module: bool) -> Name {
    match std::str::from_utf8(&line.bytes) {
        Err(_) if line.whole => Name::Impossible,
        Ok(text) if line.whole && text.len() <= MAX_NAME => {
            Name::Known(text.trim_end_matches('\r').into())
        }
        // No file's path is so long.
        _ if module && !line.whole => Name::Impossible,
        Ok(text) if module && !is_module(text) => Name::Impossible,
        _ => Name::Hidden,
    }
}

/// A string, unless it is no UTF-8 and may be read by another encoding that the loading program names.
fn known(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() <= MAX_NAME)?;
    Some(Value::Text(text.into()))
}

/// A string of STRING, which has quotes, or UNICODE. With escapes it counts as computed.
fn written(byte: u8, line: &Line) -> Result<Value, Halt> {
    let mut inner = line.bytes.as_slice();
    if byte == b'S' {
        let (Some(quote @ (b'\'' | b'"')), true) = (inner.first(), inner.len() > 1) else {
            return Err(Halt::Broken);
        };
        if line.whole {
            inner = trimmed(inner).strip_suffix(&[*quote]).ok_or(Halt::Broken)?;
        }
        inner = inner.get(1..).ok_or(Halt::Broken)?;
    }
    let plain = line.whole && !inner.contains(&b'\\');
    Ok(plain
        .then(|| known(inner))
        .flatten()
        .unwrap_or(Value::Unknown))
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Whether Python may read a number there. What the C library reads ends at the first zero byte, and may be empty then.
fn is_number(line: &[u8], fraction: bool) -> bool {
    let mut line = line
        .iter()
        .copied()
        .skip_while(|byte| is_space(*byte))
        .peekable();
    line.next_if(|byte| matches!(byte, b'+' | b'-'));
    match line.next() {
        Some(b'0'..=b'9' | 0) => true,
        Some(b'.' | b'i' | b'I' | b'n' | b'N') => fraction,
        _ => false,
    }
}

/// The index in the memo: `None` where Python reads one that is not told here, as it takes `1_0` and ` 10`.
fn index(given: &Given) -> Result<Option<u64>, Halt> {
    match given {
        Given::Number(number) => Ok(Some(*number)),
        Given::Line(line) if is_number(&line.bytes, false) => {
            let digits = line.whole && line.bytes.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(&line.bytes).ok().filter(|_| digits);
            Ok(text.and_then(|text| text.parse().ok()))
        }
        _ => Err(Halt::Broken),
    }
}
