//! What hubs did wrong, as this process saw it.

use super::{Fault, Source, locked};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, sync::Mutex};

/// Most notes that are kept: the latest.
const MAX_NOTES: usize = 4_096;

/// One thing that one hub did wrong. It is what the one who asked says, and no proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The hub.
    pub source: Source,
    /// What it was asked for, in words.
    pub subject: String,
    /// What it did.
    pub fault: Fault,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// The latest notes.
#[derive(Debug, Default)]
pub struct Notes(Mutex<VecDeque<Note>>);

impl Notes {
    /// Adds a note; the oldest gives way.
    pub fn add(&self, note: Note) {
        let mut notes = locked(&self.0);
        if notes.len() >= MAX_NOTES {
            notes.pop_front();
        }
        notes.push_back(note);
    }

    /// All of them, the oldest first.
    pub fn all(&self) -> Vec<Note> {
        locked(&self.0).iter().cloned().collect()
    }
}
