//! Does a document pass the filters?

use super::Entry;
use super::standings::dataset_key;
use crate::document::{Port, Signature};
use crate::lexicon::Lexicon;
use crate::query::Filters;

impl Filters {
    /// Whether nothing is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn pass(&self, entry: &Entry) -> bool {
        let document = &entry.document;
        let known_at_most = |value: Option<u64>, most: Option<u64>| {
            most.is_none_or(|most| value.is_some_and(|value| value <= most))
        };
        self.kind.is_none_or(|kind| kind == document.kind)
            && self.passes_lists(entry)
            && self
                .quantised
                .is_none_or(|quantised| quantised == entry.quantised)
            && self
                .parameters_min
                .is_none_or(|least| entry.parameters.is_some_and(|n| n >= least))
            && known_at_most(entry.parameters, self.parameters_max)
            && known_at_most(
                Some(document.bytes).filter(|bytes| *bytes > 0),
                self.bytes_max,
            )
            && known_at_most(document.price_microcredits, self.price_max_microcredits)
            && self.rung.as_ref().is_none_or(|rung| {
                document
                    .rungs
                    .iter()
                    .any(|held| held.eq_ignore_ascii_case(rung))
            })
            && self.evaluated_on.as_ref().is_none_or(|dataset| {
                let key = dataset_key(dataset);
                document
                    .evaluations
                    .iter()
                    .any(|evaluation| dataset_key(&evaluation.dataset) == key)
            })
            && self
                .namespace
                .as_ref()
                .is_none_or(|space| space.eq_ignore_ascii_case(entry.namespace()))
            && self.base.as_ref().is_none_or(|base| entry.comes_from(base))
            && self
                .provenance
                .is_none_or(|least| document.provenance >= least)
            && self.signature.as_ref().is_none_or(|wanted| {
                document
                    .signature
                    .as_ref()
                    .is_some_and(|held| fits(held, wanted))
            })
    }

    fn passes_lists(&self, entry: &Entry) -> bool {
        let document = &entry.document;
        let any = |list: &[String], value: Option<&String>| {
            list.is_empty()
                || value.is_some_and(|value| {
                    list.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
                })
        };
        let lexicon = Lexicon::shared();
        let speaks = |code: &String| match lexicon.language(code) {
            Some(language) => {
                entry.languages & language.bit() != 0
                    || (code == "multilingual" && entry.multilingual)
            }
            None => document
                .languages
                .iter()
                .any(|held| held.eq_ignore_ascii_case(code)),
        };
        // A task that the card does not name is taken from what was understood, if that is nearly certain.
        let does = |task: &String| {
            document
                .task
                .as_ref()
                .is_some_and(|held| held.eq_ignore_ascii_case(task))
                || (document.task.is_none()
                    && lexicon
                        .concept(task)
                        .is_some_and(|concept| entry.strength(concept) >= 0.6))
        };
        (self.tasks.is_empty() || self.tasks.iter().any(does))
            && any(&self.libraries, entry.library.as_ref())
            && any(&self.licences, entry.licence.as_ref())
            && self.languages.iter().all(speaks)
            && self.tags.iter().all(|tag| {
                document
                    .tags
                    .iter()
                    .any(|held| held.eq_ignore_ascii_case(tag))
            })
    }
}

/// Whether every port asked for is there, each of the model's used once, and no input is left that nobody would fill.
fn fits(held: &Signature, wanted: &Signature) -> bool {
    let inputs_filled = wanted.inputs.is_empty() || held.inputs.len() == wanted.inputs.len();
    inputs_filled
        && ports_fit(&held.inputs, &wanted.inputs)
        && ports_fit(&held.outputs, &wanted.outputs)
}

/// Ports asked for one after the other; each takes the first that fits.
fn ports_fit(held: &[Port], wanted: &[Port]) -> bool {
    let mut left: Vec<&Port> = held.iter().collect();
    wanted.iter().all(|port| {
        let at = left.iter().position(|held| port_fits(held, port));
        at.map(|at| left.remove(at)).is_some()
    })
}

fn port_fits(held: &Port, wanted: &Port) -> bool {
    let same = |a: &str, b: &str| a.is_empty() || b.is_empty() || a.eq_ignore_ascii_case(b);
    let dimensions = || {
        held.shape.len() == wanted.shape.len()
            && held
                .shape
                .iter()
                .zip(&wanted.shape)
                .all(|(a, b)| a.is_none() || b.is_none() || a == b)
    };
    same(&held.kind, &wanted.kind)
        && same(&held.element, &wanted.element)
        && (held.shape.is_empty() || wanted.shape.is_empty() || dimensions())
}
