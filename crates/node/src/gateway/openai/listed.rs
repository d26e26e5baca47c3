//! The language models on offer, remembered for a moment: to put the lists of all nodes together takes long where there are
//! many, and each question needs one entry.

use crate::api::ModelEntry;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// For so long a list is believed. Who asks for a model that is not in it has it made anew.
const FRESH: Duration = Duration::from_millis(100);

/// The list that was made last.
#[derive(Debug, Default)]
pub(crate) struct Listed(Mutex<Option<(Instant, Arc<[ModelEntry]>)>>);

impl Listed {
    /// What `find` finds in the list; where it finds nothing, in one that is made now, unless this one is.
    pub(super) fn find<T>(
        &self,
        now: Instant,
        make: impl Fn() -> Vec<ModelEntry>,
        find: impl Fn(&[ModelEntry]) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = self.remembered(now).and_then(|list| find(&list)) {
            return Some(found);
        }
        let made = make().into_iter().filter(|entry| entry.context.is_some());
        let list: Arc<[ModelEntry]> = made.collect();
        let found = find(&list);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, list));
        found
    }

    fn remembered(&self, now: Instant) -> Option<Arc<[ModelEntry]>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, list) = last.as_ref()?;
        (now.saturating_duration_since(*made) < FRESH).then(|| Arc::clone(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_receipt::{EngineId, RevisionId};
    use std::cell::Cell;

    fn entry(name: &str, context: Option<u64>) -> ModelEntry {
        ModelEntry {
            revision: RevisionId::ZERO,
            name: name.into(),
            published_as: Vec::new(),
            task: String::new(),
            licence: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            labels: Vec::new(),
            engine: EngineId::ZERO,
            replayable: true,
            rungs: Vec::new(),
            proofs: None,
            context,
            tool_format: None,
            nodes: None,
        }
    }

    #[test]
    fn a_list_is_made_once_a_moment_and_for_what_it_lacks() {
        let (listed, made, start) = (Listed::default(), Cell::new(0), Instant::now());
        let find = |name: &'static str, after_ms| {
            let make = || {
                made.set(made.get() + 1);
                vec![entry("a", Some(1)), entry("no language model", None)]
            };
            let is_in =
                |list: &[ModelEntry]| list.iter().any(|entry| entry.name == name).then_some(());
            listed
                .find(start + Duration::from_millis(after_ms), make, is_in)
                .is_some()
        };
        assert!(find("a", 0) && find("a", 99));
        assert_eq!(made.get(), 1);
        assert!(find("a", 100));
        assert_eq!(made.get(), 2, "it was too old");
        assert!(!find("b", 101) && !find("no language model", 102));
        assert_eq!(made.get(), 4, "what is lacking may have come meanwhile");
    }
}
