//! The Fiat-Shamir transcript: everything that a side says is absorbed before a challenge that may depend on it.
//!
//! Challenges are BLAKE3 of all that came before. The prover speaks through [`Prover`] and the verifier listens through
//! [`Verifier`]; both absorb a message in the moment that they hand it over, so that no message can be left out.

use p3_blake3::Blake3;
use p3_challenger::{
    CanObserve as _, FieldChallenger as _, HashChallenger, SerializingChallenger32,
};
use p3_symmetric::Hash;

use crate::Error;
use crate::field::{Base, Challenge};
use crate::hidden::{Debts, Value};

/// The sponge that the commitment scheme shares.
pub type Sponge = SerializingChallenger32<Base, HashChallenger<u8, Blake3, 32>>;

/// Names the protocol and its version in every transcript.
pub const PROTOCOL: &[u8] = b"assay zkml 2";

/// Links of the hash chain in front of the first challenge.
///
/// A circuit that computes the hashes of its own transcript could be proven to give false results (Khovratovich, Rothblum
/// and Soukhanov, ePrint 2025/118). Each link needs several layers of any circuit that computes it, so no admissible
/// circuit ([`crate::circuit::MAX_STEPS`]) can reach the end of the chain.
pub const CHAIN: usize = 4 * crate::circuit::MAX_STEPS;

/// What both sides absorb.
#[derive(Clone)]
pub struct Transcript(Sponge);

impl Default for Transcript {
    fn default() -> Self {
        Self(Sponge::new(HashChallenger::new(
            PROTOCOL.to_vec(),
            Blake3 {},
        )))
    }
}

impl Transcript {
    /// Absorbs 32 bytes.
    pub fn digest(&mut self, digest: [u8; 32]) {
        self.0.observe(Hash::from(digest));
    }

    /// Absorbs bytes of any length, as their digest under a label.
    pub fn bytes(&mut self, label: &str, bytes: &[u8]) {
        let mut hasher = blake3::Hasher::new_derive_key(label);
        hasher.update(bytes);
        self.digest(*hasher.finalize().as_bytes());
    }

    /// Absorbs an element.
    pub fn element(&mut self, value: Challenge) {
        self.0.observe_algebra_element(value);
    }

    /// Absorbs the end of a chain of [`CHAIN`] hashes that starts at everything absorbed so far.
    pub fn chain(&mut self, start: [u8; 32]) {
        let end = (0..CHAIN).fold(start, |link, _| *blake3::hash(&link).as_bytes());
        self.digest(end);
    }

    /// Draws an element.
    pub fn challenge(&mut self) -> Challenge {
        self.0.sample_algebra_element()
    }

    /// Draws a point of `n` coordinates.
    pub fn point(&mut self, n: usize) -> Vec<Challenge> {
        (0..n).map(|_| self.challenge()).collect()
    }

    /// The sponge, for the commitment scheme.
    pub fn sponge(&mut self) -> &mut Sponge {
        &mut self.0
    }
}

/// The prover's end: what is sent is absorbed and kept.
#[derive(Default)]
pub struct Prover {
    /// What both sides absorb.
    pub transcript: Transcript,
    messages: Vec<Challenge>,
    pads: Vec<Challenge>,
    next: usize,
    /// A message that is said to be another value than it is.
    said: Option<(usize, Challenge)>,
}

impl Prover {
    /// A prover that hides its messages behind these pads, in order.
    pub fn hiding(pads: Vec<Challenge>) -> Self {
        Self {
            pads,
            ..Self::default()
        }
    }

    /// A prover that says the message of this index, of those that may have a pad, to be this value: what a liar would do.
    pub fn dangerous_say(&mut self, index: usize, value: Challenge) {
        self.said = Some((index, value));
    }

    /// Sends one element, with its pad if there are any.
    pub fn send(&mut self, value: Challenge) {
        let value = match self.said {
            Some((index, said)) if index == self.next => said,
            _ => value,
        };
        let pad = self.pads.get(self.next).copied().unwrap_or_default();
        self.next += 1;
        self.send_clear(value + pad);
    }

    /// Sends one element without a pad.
    pub fn send_clear(&mut self, value: Challenge) {
        self.transcript.element(value);
        self.messages.push(value);
    }

    /// All that was sent so far.
    pub fn messages(&self) -> &[Challenge] {
        &self.messages
    }

    /// All that was sent.
    pub fn into_messages(self) -> Vec<Challenge> {
        self.messages
    }

    /// The pads.
    pub fn pads(&self) -> &[Challenge] {
        &self.pads
    }
}

/// The verifier's end: what is received is absorbed.
pub struct Verifier<'a> {
    /// What both sides absorb.
    pub transcript: Transcript,
    /// What has to hold of padded messages; nothing where messages are in the clear.
    pub debts: Option<Debts>,
    messages: std::slice::Iter<'a, Challenge>,
}

impl<'a> Verifier<'a> {
    /// Listens to these messages.
    pub fn new(messages: &'a [Challenge], hiding: bool) -> Self {
        Self {
            transcript: Transcript::default(),
            debts: hiding.then(Debts::default),
            messages: messages.iter(),
        }
    }

    /// The next message, which never has a pad.
    ///
    /// # Errors
    /// [`Error::Length`] if there is none.
    pub fn receive_clear(&mut self) -> Result<Challenge, Error> {
        let value = *self.messages.next().ok_or(Error::Length("fewer"))?;
        self.transcript.element(value);
        Ok(value)
    }

    /// The next message.
    ///
    /// # Errors
    /// [`Error::Length`] if there is none.
    pub fn receive(&mut self) -> Result<Value, Error> {
        let value = self.receive_clear()?;
        Ok(match &mut self.debts {
            Some(debts) => Value::padded(value, debts.pad()),
            None => value.into(),
        })
    }

    /// The next messages.
    ///
    /// # Errors
    /// [`Error::Length`] if there are fewer.
    pub fn receive_array<const N: usize>(&mut self) -> Result<[Value; N], Error> {
        let mut values = std::array::from_fn(|_| Value::default());
        for value in &mut values {
            *value = self.receive()?;
        }
        Ok(values)
    }

    /// Ends the conversation.
    ///
    /// # Errors
    /// [`Error::Length`] if a message is left.
    pub fn finish(&mut self) -> Result<(), Error> {
        match self.messages.next() {
            None => Ok(()),
            Some(_) => Err(Error::Length("more")),
        }
    }
}
