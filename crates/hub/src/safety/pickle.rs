//! Pickles by their opcodes (CPython's `pickletools`, protocols 0 to 5), followed without doing what they say.
//!
//! A pickle is a program for a small machine. The scan keeps the machine's stack and memo as far as needed to know the two
//! strings that `STACK_GLOBAL` takes as a module and a name; it imports nothing and calls nothing. Opcodes take effect one
//! after the other, so that a pickle that breaks off has already run what stands before: what was found until then counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// Imports that are listed; a pickle of more is no less code.
const MAX_IMPORTS: usize = 256;

/// Values on the machine's stack; pickles of models stay under a few thousand.
const MAX_STACK: usize = 1 << 18;

/// Entries of the memo that are followed.
const MAX_MEMO: usize = 1 << 18;

/// A longer string is kept as no name.
const MAX_NAME: usize = 256;

/// Pickles one behind the other in one file; PyTorch's old format has five.
const MAX_PICKLES: usize = 64;

/// Opcodes that have to follow each other, the mark of a protocol first, until what breaks off counts as a pickle; noise
/// seldom gets so far.
const CERTAIN_STEPS: u64 = 5;

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
    /// Calls of what was imported: REDUCE, INST, OBJ, NEWOBJ, NEWOBJ_EX, BUILD.
    pub calls: u64,
    /// Objects that the loading program resolves: persistent ids and registered extensions.
    pub foreign: u64,
    /// Whether the last pickle ended where it should.
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

/// The pickles at the beginning of `bytes`, or `None` where they are none.
///
/// Without the mark of protocol 2 and later anything may look like one for a while. It counts only if it imports what can
/// be imported and calls after that, or imports and ends well.
pub(super) fn scan(bytes: &[u8]) -> Option<Pickle> {
    let mut found = Pickle::default();
    let mut rest = bytes;
    let (mut certain, mut imported, mut acts) = (false, false, false);
    for _ in 0..MAX_PICKLES {
        let marked = rest.first() == Some(&0x80) && may_begin(rest);
        let mut machine = Machine::new(rest, &mut found);
        let ended = machine.run();
        let steps = machine.steps;
        imported |= machine.imported;
        acts |= machine.acts;
        rest = machine.rest;
        found.complete = ended;
        certain |= marked && (ended || steps >= CERTAIN_STEPS);
        if !ended || rest.is_empty() || !may_begin(rest) {
            break;
        }
    }
    // A later pickle that is none does not make the first ones incomplete.
    (certain || acts || (imported && found.complete)).then_some(found)
}

fn is_plausible(import: &Import) -> bool {
    let name = |text: &str| {
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        text.split('.').all(part)
    };
    name(&import.module) && name(&import.name)
}

/// A value on the stack, as far as it matters.
#[derive(Debug, Clone)]
enum Value {
    Mark,
    Text(String),
    /// No text for sure: a number, bytes, a container.
    Plain,
    /// What a call returns, or what is no longer followed; it may be text.
    Unknown,
}

/// One half of what is imported.
enum Name {
    Known(String),
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
            Value::Mark | Value::Plain => Self::Impossible,
        }
    }
}

/// How an opcode's argument is written.
#[derive(Debug, Clone, Copy)]
enum Argument {
    None,
    Fixed(usize),
    Line,
    TwoLines,
    /// A length of so many bytes, and as many bytes.
    Counted(usize),
}

/// What an opcode does to the stack.
#[derive(Debug, Clone, Copy)]
enum Effect {
    Nothing,
    Push,
    /// Pushes its argument as a string.
    PushText,
    PushMark,
    Pop(usize),
    /// Pops so many and pushes one.
    Make(usize),
    PopToMark,
    MakeToMark,
    Duplicate,
    Put,
    Memoize,
    Recall,
    Global,
    StackGlobal,
    Inst,
    Call(usize),
    CallToMark,
    /// Pops a state and sets it on what is below.
    Build,
    Persistent(usize),
    Protocol,
    Stop,
}

struct Code {
    argument: Argument,
    effect: Effect,
}

impl Code {
    /// The opcodes of protocols 0 to 5.
    fn of(byte: u8) -> Option<Self> {
        use Argument::{Counted, Fixed, Line, None as Bare, TwoLines};
        use Effect::{
            Build, Call, CallToMark, Duplicate, Global, Inst, Make, MakeToMark, Memoize, Nothing,
            Persistent, Pop, PopToMark, Protocol, Push, PushMark, PushText, Put, Recall,
            StackGlobal, Stop,
        };
        let (argument, effect) = match byte {
            b'(' => (Bare, PushMark),
            b'.' => (Bare, Stop),
            b'0' => (Bare, Pop(1)),
            b'1' => (Bare, PopToMark),
            b'2' => (Bare, Duplicate),
            b'F' | b'I' | b'L' => (Line, Push),
            b'J' => (Fixed(4), Push),
            b'K' => (Fixed(1), Push),
            b'M' => (Fixed(2), Push),
            b'G' => (Fixed(8), Push),
            b'N' | b')' | b']' | b'}' | 0x88 | 0x89 | 0x8f | 0x97 => (Bare, Push),
            b'S' | b'V' => (Line, PushText),
            b'U' | 0x8c => (Counted(1), PushText),
            b'T' | b'X' => (Counted(4), PushText),
            0x8d => (Counted(8), PushText),
            b'B' => (Counted(4), Push),
            b'C' | 0x8a => (Counted(1), Push),
            0x8b => (Counted(4), Push),
            0x8e | 0x96 => (Counted(8), Push),
            b'a' => (Bare, Pop(1)),
            b's' => (Bare, Pop(2)),
            b'e' | b'u' | 0x90 => (Bare, PopToMark),
            b'd' | b'l' | b't' | 0x91 => (Bare, MakeToMark),
            0x85 => (Bare, Make(1)),
            0x86 => (Bare, Make(2)),
            0x87 => (Bare, Make(3)),
            b'p' => (Line, Put),
            b'q' => (Fixed(1), Put),
            b'r' => (Fixed(4), Put),
            0x94 => (Bare, Memoize),
            b'g' => (Line, Recall),
            b'h' => (Fixed(1), Recall),
            b'j' => (Fixed(4), Recall),
            b'c' => (TwoLines, Global),
            0x93 => (Bare, StackGlobal),
            b'i' => (TwoLines, Inst),
            b'R' | 0x81 => (Bare, Call(2)),
            0x92 => (Bare, Call(3)),
            b'o' => (Bare, CallToMark),
            b'b' => (Bare, Build),
            b'P' => (Line, Persistent(0)),
            b'Q' => (Bare, Persistent(1)),
            0x82 => (Fixed(1), Persistent(0)),
            0x83 => (Fixed(2), Persistent(0)),
            0x84 => (Fixed(4), Persistent(0)),
            0x80 => (Fixed(1), Protocol),
            0x95 => (Fixed(8), Nothing),
            0x98 => (Bare, Nothing),
            _ => return None,
        };
        Some(Self { argument, effect })
    }
}

struct Machine<'a, 'b> {
    rest: &'a [u8],
    found: &'b mut Pickle,
    stack: Vec<Value>,
    /// The memo by index. MEMOIZE takes the number of entries as its index.
    memo: BTreeMap<u64, Value>,
    /// Whether the memo has grown too large to be followed: from then on nothing in it is known.
    lost: bool,
    steps: u64,
    /// Whether something was imported that can be, and whether something was called after that.
    imported: bool,
    acts: bool,
}

impl<'a, 'b> Machine<'a, 'b> {
    fn new(rest: &'a [u8], found: &'b mut Pickle) -> Self {
        Self {
            rest,
            found,
            stack: Vec::new(),
            memo: BTreeMap::new(),
            lost: false,
            steps: 0,
            imported: false,
            acts: false,
        }
    }

    /// Runs to STOP; whether it got there.
    fn run(&mut self) -> bool {
        loop {
            match self.step() {
                Some(true) => return true,
                Some(false) => {}
                None => return false,
            }
        }
    }

    /// One opcode: whether it was STOP, or `None` where the pickle is broken.
    fn step(&mut self) -> Option<bool> {
        let (byte, rest) = self.rest.split_first()?;
        let code = Code::of(*byte)?;
        self.rest = rest;
        let (first, second) = self.argument(code.argument)?;
        self.effect(*byte, code.effect, first, second)?;
        self.steps = self.steps.saturating_add(1);
        Some(matches!(code.effect, Effect::Stop))
    }

    fn argument(&mut self, argument: Argument) -> Option<(&'a [u8], &'a [u8])> {
        match argument {
            Argument::None => Some((&[], &[])),
            Argument::Fixed(length) => Some((self.bytes(length)?, &[])),
            Argument::Line => Some((self.line()?, &[])),
            Argument::TwoLines => Some((self.line()?, self.line()?)),
            Argument::Counted(width) => {
                let length = usize::try_from(number(self.bytes(width)?)).ok()?;
                Some((self.bytes(length)?, &[]))
            }
        }
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let line = self.bytes(end)?;
        self.bytes(1)?;
        Some(line)
    }

    fn push(&mut self, value: Value) -> Option<()> {
        (self.stack.len() < MAX_STACK).then(|| self.stack.push(value))
    }

    fn pop(&mut self, count: usize) -> Option<()> {
        for _ in 0..count {
            self.stack.pop()?;
        }
        Some(())
    }

    fn pop_to_mark(&mut self) -> Option<()> {
        loop {
            if matches!(self.stack.pop()?, Value::Mark) {
                return Some(());
            }
        }
    }

    fn effect(&mut self, byte: u8, effect: Effect, first: &[u8], second: &[u8]) -> Option<()> {
        match effect {
            Effect::Nothing => Some(()),
            Effect::Protocol => {
                let protocol = *first.first()?;
                self.found.protocol = self.found.protocol.max(protocol);
                (protocol <= 5).then_some(())
            }
            Effect::Stop => self.pop(1),
            Effect::Push => self.push(Value::Plain),
            Effect::PushText => self.push(text(byte, first)),
            Effect::PushMark => self.push(Value::Mark),
            Effect::Pop(count) => self.pop(count),
            Effect::Make(count) => {
                self.pop(count)?;
                self.push(Value::Plain)
            }
            Effect::PopToMark => self.pop_to_mark(),
            Effect::MakeToMark => {
                self.pop_to_mark()?;
                self.push(Value::Plain)
            }
            Effect::Duplicate => {
                let top = self.stack.last()?.clone();
                self.push(top)
            }
            Effect::Put => self.put(index(byte, first)?),
            Effect::Memoize => self.put(self.memo.len() as u64),
            Effect::Recall => {
                let known = self.memo.get(&index(byte, first)?).cloned();
                let known = known.filter(|_| !self.lost);
                self.push(known.unwrap_or(Value::Unknown))
            }
            _ => self.outward(effect, first, second),
        }
    }

    /// What reaches beyond the machine: imports, calls, and objects of the loading program.
    fn outward(&mut self, effect: Effect, first: &[u8], second: &[u8]) -> Option<()> {
        match effect {
            Effect::Global => {
                self.import(name(first), name(second));
                self.push(Value::Unknown)
            }
            Effect::StackGlobal => {
                let name = self.stack.pop()?;
                let module = self.stack.pop()?;
                self.import(module.into(), name.into());
                self.push(Value::Unknown)
            }
            Effect::Inst => {
                self.import(name(first), name(second));
                self.call();
                self.pop_to_mark()?;
                self.push(Value::Unknown)
            }
            Effect::Call(count) => {
                self.pop(count)?;
                self.call();
                self.push(Value::Unknown)
            }
            Effect::CallToMark => {
                self.pop_to_mark()?;
                self.call();
                self.push(Value::Unknown)
            }
            Effect::Build => {
                self.pop(1)?;
                self.call();
                self.stack.last().map(|_| ())
            }
            Effect::Persistent(count) => {
                self.pop(count)?;
                self.found.foreign = self.found.foreign.saturating_add(1);
                self.push(Value::Unknown)
            }
            _ => None,
        }
    }

    fn put(&mut self, index: u64) -> Option<()> {
        let value = match self.stack.last()? {
            Value::Mark => return None,
            value => value.clone(),
        };
        if self.memo.len() < MAX_MEMO || self.memo.contains_key(&index) {
            self.memo.insert(index, value);
        } else {
            self.lost = true;
        }
        Some(())
    }

    fn call(&mut self) {
        self.found.calls = self.found.calls.saturating_add(1);
        self.acts |= self.imported;
    }

    fn import(&mut self, module: Name, name: Name) {
        let found = &mut *self.found;
        let import = match (module, name) {
            (Name::Known(module), Name::Known(name)) => Some(Import { module, name }),
            (Name::Impossible, _) | (_, Name::Impossible) => {
                found.hidden_imports = found.hidden_imports.saturating_add(1);
                return;
            }
            _ => None,
        };
        self.imported |= import.as_ref().is_none_or(is_plausible);
        match import {
            Some(import) if found.imports.len() < MAX_IMPORTS => {
                found.imports.insert(import);
            }
            _ => found.hidden_imports = found.hidden_imports.saturating_add(1),
        }
    }
}

/// A name as GLOBAL and INST write it.
fn name(bytes: &[u8]) -> Name {
    match std::str::from_utf8(bytes) {
        Err(_) => Name::Impossible,
        Ok(text) if text.len() > MAX_NAME => Name::Hidden,
        Ok(text) => Name::Known(text.trim_end_matches('\r').to_owned()),
    }
}

/// A string argument. STRING has quotes, and with escapes it counts as computed.
fn text(byte: u8, argument: &[u8]) -> Value {
    // What is no UTF-8 may be read by another encoding that the loading program names.
    let Name::Known(text) = name(argument) else {
        return Value::Unknown;
    };
    let written = matches!(byte, b'S' | b'V');
    if written && text.contains('\\') {
        return Value::Unknown;
    }
    if byte != b'S' {
        return Value::Text(text);
    }
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    match quoted('\'').or_else(|| quoted('"')) {
        Some(inner) => Value::Text(inner.to_owned()),
        None => Value::Unknown,
    }
}

fn index(byte: u8, argument: &[u8]) -> Option<u64> {
    if matches!(byte, b'p' | b'g') {
        return std::str::from_utf8(argument).ok()?.trim().parse().ok();
    }
    Some(number(argument))
}

/// A little-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}
