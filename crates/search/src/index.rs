//! What is kept of the documents, and how it changes: an index in memory.
//!
//! [`Prepared::new`] does the work of reading a document, on any thread; [`Index::insert`] enters what was read within
//! a millisecond or a few, so that a server holds its lock only that long. Nothing of a replaced or removed document
//! stays, and nothing depends on the order of updates, which the digest and the answers of two indexes would show.

mod facets;
mod filters;
mod names;
mod postings;
mod profile;
mod ranking;
mod sketches;
mod spelling;
mod standings;
mod vectors;

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use crate::document::{Document, Provenance};
use crate::encoder::{Semantics, Vector};
use crate::lexicon::Concept;
use crate::{Error, numeric, text};
use names::Names;
use postings::{Inverted, Slot, TermId};
use profile::Profile;
use sketches::Sketches;
use standings::{Measured, Standings};
use vectors::Vectors;

/// Documents at most.
pub const DOCUMENTS_MAX: usize = 10_000_000;
/// Changes when the same documents would rank otherwise.
pub const RANKING_VERSION: u32 = 1;
/// Accounts of one operator that count.
const ACCOUNTS_OF_OPERATOR_MAX: usize = 25;
/// Accounts that count in full.
const ACCOUNTS_FULL: f64 = 500.0;

/// A document, read and ready to be entered.
#[derive(Clone)]
pub struct Prepared {
    document: Document,
    profile: Profile,
    vector: Option<Vector>,
    digest: [u8; 32],
}

impl Prepared {
    /// Reads a document; with `semantics`, embeds its summary too.
    ///
    /// # Errors
    /// [`Error::Id`] when its id names no repository.
    pub fn new(document: Document, semantics: Option<&Semantics>) -> Result<Self, Error> {
        let document = profile::bounded(document);
        let mut profile = Profile::of(&document)?;
        let vector = semantics.map(|semantics| semantics.document(&profile.summary));
        if let (Some(semantics), Some(vector)) = (semantics, &vector) {
            profile.guess(&semantics.concepts(vector));
        }
        let mut document = document;
        let digest = digest_of(&mut document);
        Ok(Self {
            digest,
            document,
            profile,
            vector,
        })
    }
}

/// The digest of what every hub knows of a document; downloads are each hub's own count, and not in it.
fn digest_of(document: &mut Document) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("assay.network search document v1");
    let downloads = std::mem::take(&mut document.downloads);
    // Fields in the order of their declaration; a document has no maps and no number without a form in JSON.
    if let Ok(bytes) = serde_json::to_vec(document) {
        hasher.update(&bytes);
    }
    document.downloads = downloads;
    *hasher.finalize().as_bytes()
}

/// What ranking knows of a document.
pub(crate) struct Entry {
    /// As given, without card and sketch.
    document: Document,
    concepts: Vec<(Concept, u8)>,
    languages: u128,
    multilingual: bool,
    licence: Option<String>,
    library: Option<String>,
    parameters: Option<u64>,
    quantised: bool,
    name_words: Vec<String>,
    squashed: String,
    skeleton: String,
    space_squashed: String,
    measured: Vec<Measured>,
    card_sketch: Vec<u32>,
    claims_too_much: bool,
    /// 0 to 1, from settled receipts.
    usage: f32,
    /// Evidence of any kind, by which candidates are preferred: 0 to 1.
    prior: f32,
    /// An order among equals that nobody chooses: from the digest of the id.
    tie: u64,
    digest: [u8; 32],
    terms: Box<[TermId]>,
}

/// What is needed of every document to choose candidates, close together.
#[derive(Clone, Copy)]
struct Light {
    prior: f32,
    tie: u64,
}

/// Everything that can be searched.
#[derive(Default)]
pub struct Index {
    semantics: Option<Semantics>,
    inverted: Inverted,
    entries: Vec<Option<Entry>>,
    lights: Vec<Option<Light>>,
    free: Vec<Slot>,
    ids: BTreeMap<String, Slot>,
    by_name: HashMap<String, Vec<Slot>>,
    names: Names,
    vectors: Vectors,
    standings: Standings,
    sketches: Sketches,
    scratch: Mutex<Vec<ranking::Scratch>>,
}

impl Index {
    /// An empty index. Without `semantics` it finds by words and structure alone, and says so in its answers.
    #[must_use]
    pub fn new(semantics: Option<Semantics>) -> Self {
        Self {
            semantics,
            ..Self::default()
        }
    }

    /// What turns texts into vectors here.
    #[must_use]
    pub fn semantics(&self) -> Option<&Semantics> {
        self.semantics.as_ref()
    }

    /// How many documents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Reads and enters a document, or replaces the one of the same id (case does not matter in ids).
    ///
    /// # Errors
    /// [`Error::Id`] when its id names no repository, [`Error::Full`] when there is no room.
    pub fn add(&mut self, document: Document) -> Result<(), Error> {
        let prepared = Prepared::new(document, self.semantics.as_ref())?;
        self.insert(prepared)
    }

    /// Enters what was read before, or replaces the document of the same id.
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room.
    pub fn insert(&mut self, prepared: Prepared) -> Result<(), Error> {
        self.remove(&prepared.document.id);
        if self.ids.len() >= DOCUMENTS_MAX {
            return Err(Error::Full {
                held: self.ids.len(),
            });
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as Slot
        });
        let terms = self.inverted.insert(slot, &prepared.profile.terms);
        self.vectors.insert(slot, prepared.vector);
        let document = &prepared.document;
        let age = (document.published_ms, document.id.to_lowercase());
        self.sketches.insert(slot, &document.sketch, age);
        self.ids.insert(document.id.to_lowercase(), slot);
        let measured = self.standings.insert(slot, document);
        let mut entry = Entry::new(prepared.document, prepared.profile, prepared.digest, terms);
        entry.measured = measured;
        self.names.insert(slot, &entry.skeleton);
        if self.lights.len() <= slot as usize {
            self.lights.resize(slot as usize + 1, None);
        }
        if let Some(light) = self.lights.get_mut(slot as usize) {
            *light = Some(Light {
                prior: entry.prior,
                tie: entry.tie,
            });
        }
        self.by_name
            .entry(entry.squashed.clone())
            .or_default()
            .push(slot);
        if let Some(place) = self.entries.get_mut(slot as usize) {
            *place = Some(entry);
        }
        Ok(())
    }

    /// Takes a document out; whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(slot) = self.ids.remove(&id.to_lowercase()) else {
            return false;
        };
        let Some(entry) = self.entries.get_mut(slot as usize).and_then(Option::take) else {
            return false;
        };
        self.inverted.remove(slot, &entry.terms);
        self.vectors.insert(slot, None);
        self.standings.remove(slot, &entry.measured);
        self.sketches.remove(slot);
        self.names.remove(slot, &entry.skeleton);
        if let Some(light) = self.lights.get_mut(slot as usize) {
            *light = None;
        }
        if let Some(list) = self.by_name.get_mut(&entry.squashed) {
            list.retain(|held| *held != slot);
            if list.is_empty() {
                self.by_name.remove(&entry.squashed);
            }
        }
        self.free.push(slot);
        true
    }

    /// Says how often a document was downloaded, as far as this hub counted; whether it was there.
    pub fn set_downloads(&mut self, id: &str, downloads: u64) -> bool {
        let slot = self.ids.get(&id.to_lowercase()).copied();
        let entry = slot.and_then(|slot| self.entries.get_mut(slot as usize)?.as_mut());
        match entry {
            Some(entry) => {
                entry.document.downloads = downloads;
                true
            }
            None => false,
        }
    }

    /// Names the set of documents, the encoder and the ranking: two indexes with one digest answer alike, unless a query
    /// sorts by downloads.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("assay.network search index v1");
        hasher.update(&RANKING_VERSION.to_le_bytes());
        hasher.update(&self.semantics.as_ref().map_or([0; 32], Semantics::digest));
        let entries = self.ids.values().filter_map(|slot| self.entry(*slot));
        entries.for_each(|entry| _ = hasher.update(&entry.digest));
        *hasher.finalize().as_bytes()
    }

    /// The digest of each document, ascending by id in lower case, by which two hubs find where they differ.
    pub fn document_digests(&self) -> impl Iterator<Item = (&str, [u8; 32])> {
        let entries = self
            .ids
            .iter()
            .filter_map(|(id, slot)| Some((id, self.entry(*slot)?)));
        entries.map(|(id, entry)| (id.as_str(), entry.digest))
    }

    /// Gives back memory held in reserve, after many documents were entered at once.
    pub fn shrink(&mut self) {
        self.inverted.shrink();
    }

    /// Bytes of the postings and the vectors, the two largest parts.
    #[must_use]
    pub fn bytes(&self) -> (usize, usize) {
        (self.inverted.bytes(), self.vectors.bytes())
    }

    fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }
}

impl Entry {
    fn new(
        mut document: Document,
        profile: Profile,
        digest: [u8; 32],
        terms: Box<[TermId]>,
    ) -> Self {
        let usage = usage(&document);
        let prior = prior(&document, usage);
        let (_, name) = document.id.split_once('/').unwrap_or_default();
        let skeleton = names::skeleton(name);
        let space_squashed = text::squashed(document.id.split_once('/').unwrap_or_default().0);
        let id_hash = blake3::hash(document.id.to_lowercase().as_bytes());
        let tie = id_hash
            .as_bytes()
            .first_chunk::<8>()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        document.card = profile.summary;
        document.sketch = Vec::new();
        document.usage = Vec::new();
        Self {
            document,
            concepts: profile.concepts,
            languages: profile.languages,
            multilingual: profile.multilingual,
            licence: profile.licence,
            library: profile.library,
            parameters: profile.parameters,
            quantised: profile.quantised,
            name_words: profile.name_words,
            squashed: profile.squashed,
            skeleton,
            space_squashed,
            measured: Vec::new(),
            card_sketch: profile.card_sketch,
            claims_too_much: profile.claims_too_much,
            usage,
            prior,
            tie,
            digest,
            terms,
        }
    }

    fn namespace(&self) -> &str {
        self.document.id.split_once('/').unwrap_or_default().0
    }

    /// Who came first.
    fn age(&self) -> (u64, String) {
        (self.document.published_ms, self.document.id.to_lowercase())
    }

    fn strength(&self, concept: Concept) -> f32 {
        let held = self
            .concepts
            .binary_search_by_key(&concept, |(held, _)| *held);
        held.ok()
            .and_then(|at| self.concepts.get(at))
            .map_or(0.0, |(_, strength)| f32::from(*strength) / 255.0)
    }

    fn comes_from(&self, id: &str) -> bool {
        self.document
            .bases
            .iter()
            .any(|base| base.id.eq_ignore_ascii_case(id))
    }
}

/// Distinct paying accounts, each once, so many of each operator: whoever pays himself pays fees for every account, and
/// needs operators too.
fn usage(document: &Document) -> f32 {
    let mut by_operator: BTreeMap<&str, std::collections::BTreeSet<&str>> = BTreeMap::new();
    for usage in document
        .usage
        .iter()
        .filter(|usage| usage.receipts > 0 && usage.account != usage.operator)
    {
        by_operator
            .entry(&usage.operator)
            .or_default()
            .insert(&usage.account);
    }
    let counted = |accounts: &std::collections::BTreeSet<&str>| {
        accounts.len().min(ACCOUNTS_OF_OPERATOR_MAX) as f64
    };
    let accounts: f64 = by_operator.values().map(counted).sum();
    (numeric::ln(1.0 + accounts) / numeric::ln(1.0 + ACCOUNTS_FULL)).min(1.0) as f32
}

pub(crate) fn tier(provenance: Provenance) -> f32 {
    match provenance {
        Provenance::Unsigned => 0.0,
        Provenance::Signed => 0.5,
        Provenance::Attested => 0.75,
        Provenance::Verified => 1.0,
    }
}

fn prior(document: &Document, usage: f32) -> f32 {
    let committed = document
        .evaluations
        .iter()
        .filter(|evaluation| evaluation.committed)
        .count();
    let measured = committed.min(4) as f32 / 4.0;
    0.45 * usage + 0.35 * measured + 0.2 * tier(document.provenance)
}

/// The key under which a spelling of a name is found.
fn name_key(text: &str) -> String {
    text::squashed(text)
}
