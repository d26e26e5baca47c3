//! How much memory JSON from others may take: as text while it arrives, and as values once it is parsed.
//!
//! A short text can make large values, so both are counted, in bytes and for all senders together. What arrives slowly
//! holds only what has arrived.

use crate::problem::{Kind, Problem};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Text that arrives or waits to be parsed, bytes: 32 bodies of the largest size.
pub const ARRIVING_BYTES: usize = 512 << 20;
/// Values that were parsed and are in use, bytes.
pub const PARSED_BYTES: usize = 2 << 30;
/// A text waits this long for room to be parsed.
const PARSE_PATIENCE: Duration = Duration::from_secs(3);
/// What permits count, bytes.
const UNIT: usize = 1_024;

/// Memory for JSON. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    arriving: Arc<Semaphore>,
    parsed: Arc<Semaphore>,
    parsed_units: u32,
}

/// A text that arrives in pieces, with the room that it takes.
#[derive(Debug)]
pub struct Text {
    bytes: Vec<u8>,
    most: usize,
    arriving: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

/// Room for parsed values; dropping it gives it back.
#[derive(Debug)]
pub struct Room(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit);

impl Default for Memory {
    fn default() -> Self {
        Self::new(ARRIVING_BYTES, PARSED_BYTES)
    }
}

impl Memory {
    /// Memory of so many bytes for texts and for values.
    pub fn new(arriving: usize, parsed: usize) -> Self {
        let parsed_units = units(parsed);
        Self {
            arriving: Arc::new(Semaphore::new(units(arriving) as usize)),
            parsed: Arc::new(Semaphore::new(parsed_units as usize)),
            parsed_units,
        }
    }

    /// An empty text that grows to at most `most` bytes.
    pub fn text(&self, most: usize) -> Text {
        Text {
            bytes: Vec::new(),
            most,
            arriving: Arc::clone(&self.arriving),
            held: None,
        }
    }

    /// Waits for room for the values of `text`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if there is none for a while.
    pub async fn room(&self, text: &Text) -> Result<Room, Problem> {
        let wanted = units(parsed_bytes(&text.bytes)).min(self.parsed_units);
        let room = Arc::clone(&self.parsed).acquire_many_owned(wanted);
        match timeout(PARSE_PATIENCE, room).await {
            Ok(Ok(room)) => Ok(Room(room)),
            // The semaphore is never closed, so this is the timeout.
            _ => Err(full()),
        }
    }
}

impl Text {
    /// Adds a piece.
    ///
    /// # Errors
    /// [`Kind::TooLarge`] beyond the most that it may have, [`Kind::Unavailable`] where there is no room.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Problem> {
        let length = self.bytes.len().saturating_add(piece.len());
        if length > self.most {
            return Err(too_large(self.most));
        }
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let more = (units(length) as usize).saturating_sub(held);
        if more > 0 {
            let more = u32::try_from(more).map_err(|_| full())?;
            let more = Arc::clone(&self.arriving).try_acquire_many_owned(more);
            let more = more.map_err(|_| full())?;
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// What has arrived.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The refusal of a text of more than `most` bytes.
pub fn too_large(most: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("at most {most} bytes are taken"))
}

fn full() -> Problem {
    Problem::new(Kind::Unavailable, "no memory for this body now").retry_after(1)
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// An upper bound of the memory that the values of a JSON text take: an element of an array has 72 bytes and the array
/// twice as many places at worst, a member some more with its name and hash, and the smallest object room for four.
fn parsed_bytes(text: &[u8]) -> usize {
    let cost = |byte: &u8| match byte {
        b',' | b'[' => 160,
        b':' => 256,
        b'{' => 1_024,
        _ => 1,
    };
    text.iter().map(cost).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_holds_what_has_arrived_and_gives_it_back() {
        let memory = Memory::new(4 * UNIT, UNIT);
        let mut slow = memory.text(16 * UNIT);
        slow.push(&[b' '; 10]).unwrap();
        assert_eq!(memory.arriving.available_permits(), 3);
        slow.push(&[b' '; 3 * UNIT]).unwrap();
        assert_eq!(slow.as_bytes().len(), 3 * UNIT + 10);
        let refused = memory.text(UNIT).push(b"x").unwrap_err();
        assert_eq!(refused.kind(), Some(Kind::Unavailable));
        drop(slow);
        assert_eq!(memory.arriving.available_permits(), 4);
        let refused = memory.text(1).push(b"xx").unwrap_err();
        assert_eq!(refused.kind(), Some(Kind::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn short_texts_of_many_values_take_turns() {
        let memory = Memory::new(1 << 20, 2 << 20);
        let mut text = memory.text(1 << 20);
        text.push(&b"0,".repeat(20_000)).unwrap();
        let first = memory.room(&text).await.unwrap();
        let refused = memory.room(&text).await.unwrap_err();
        assert_eq!(refused.kind(), Some(Kind::Unavailable));
        drop(first);
        let room = memory.room(&text).await.unwrap();
        // One that alone takes more than there is passes when it is alone.
        let mut huge = memory.text(1 << 20);
        huge.push(&b"{\"\":0},".repeat(10_000)).unwrap();
        assert!(memory.room(&huge).await.is_err());
        drop(room);
        assert!(memory.room(&huge).await.is_ok());
    }

    #[test]
    fn the_bound_covers_what_values_take() {
        let value = size_of::<serde_json::Value>();
        assert!(parsed_bytes(b"[0,0,0,0]") >= 2 * 4 * value);
        let entry = size_of::<u64>() + size_of::<String>() + value;
        // Entries, and a table of places with a byte more for each and a group of sixteen.
        let least = 4 * entry + 4 * (size_of::<usize>() + 1) + 16;
        assert!(parsed_bytes(br#"{"":0}"#) >= least + value);
        let more = parsed_bytes(br#"{"":0,"":0}"#) - parsed_bytes(br#"{"":0}"#);
        assert!(more >= 2 * (entry + 2 * (size_of::<usize>() + 1)));
    }
}
