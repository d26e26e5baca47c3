//! The opcodes of pickles, protocols 0 to 5, as far as a scan needs them.

/// How an opcode's argument is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument {
    None,
    Fixed(u32),
    Line,
    TwoLines,
    /// A length of so many bytes, and as many bytes as it says.
    Counted(u32),
}

/// What an opcode does to the stack.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
    Nothing,
    /// Pushes a number, a truth value or nothing.
    Push,
    /// Pushes bytes or a container.
    PushPlain,
    /// Pushes its argument as a string.
    PushText,
    PushMark,
    /// Pops a value or a mark.
    Pop,
    /// Pops so many and pushes one.
    Make(usize),
    PopToMark,
    /// Adds so many values to the container below them.
    Add(usize),
    AddToMark,
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

pub(super) struct Code {
    pub(super) argument: Argument,
    pub(super) effect: Effect,
}

impl Code {
    /// The opcodes of protocols 0 to 5.
    pub(super) fn of(byte: u8) -> Option<Self> {
        use Argument::{Counted, Fixed, Line, None as Bare, TwoLines};
        use Effect::{
            Add, AddToMark, Build, Call, CallToMark, Duplicate, Global, Inst, Make, MakeToMark,
            Memoize, Nothing, Persistent, Pop, PopToMark, Protocol, Push, PushMark, PushPlain,
            PushText, Put, Recall, StackGlobal, Stop,
        };
        let (argument, effect) = match byte {
            b'(' => (Bare, PushMark),
            b'.' => (Bare, Stop),
            b'0' => (Bare, Pop),
            b'1' => (Bare, PopToMark),
            b'2' => (Bare, Duplicate),
            b'F' | b'I' | b'L' => (Line, Push),
            b'J' => (Fixed(4), Push),
            b'K' => (Fixed(1), Push),
            b'M' => (Fixed(2), Push),
            b'G' => (Fixed(8), Push),
            b'N' | 0x88 | 0x89 => (Bare, Push),
            b')' | b']' | b'}' | 0x8f | 0x97 => (Bare, PushPlain),
            b'S' | b'V' => (Line, PushText),
            b'U' | 0x8c => (Counted(1), PushText),
            b'T' | b'X' => (Counted(4), PushText),
            0x8d => (Counted(8), PushText),
            b'B' => (Counted(4), PushPlain),
            b'C' => (Counted(1), PushPlain),
            0x8a => (Counted(1), Push),
            0x8b => (Counted(4), Push),
            0x8e | 0x96 => (Counted(8), PushPlain),
            b'a' => (Bare, Add(1)),
            b's' => (Bare, Add(2)),
            b'e' | b'u' | 0x90 => (Bare, AddToMark),
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
