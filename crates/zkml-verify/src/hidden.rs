//! Values that the prover speaks of without showing them.
//!
//! In the mode `zero-knowledge` every message of the arguments travels with a one-time *pad*: an element of the field of
//! challenges, drawn before the proof begins and committed to with the witness. What the verifier knows of such a value is a
//! [`Value`]: a number, and a combination of pads. What has to hold of values is either linear, and then a claim about the
//! committed pads, or quadratic ([`Quadratic`]), and then settled by [`settle`]:
//!
//! each operand `x` has a second pad `a`, and the prover shows `x + D a` for a challenge `D`. Then `Q(x + D a) = Q(x) + D B(x, a) +
//! D^2 Q(a)`, where the prover has said `B` and `Q(a)`, padded, before `D` was drawn. In the mode `succinct` there are no pads,
//! and everything is checked where it stands.

use p3_field::PrimeCharacteristicRing as _;
use std::ops::{Add, AddAssign, Mul, Sub, SubAssign};

use crate::Error;
use crate::claims::{Claim, PAD, Whole};
use crate::commitment::Shape;
use crate::field::Challenge;
use crate::layout::Block;
use crate::transcript::{Transcript, Verifier};

/// A number and a combination of pads, whose sum is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// The number.
    pub known: Challenge,
    /// Pads, by index, with their coefficients; an index may come twice.
    pub pads: Vec<(u32, Challenge)>,
}

impl Value {
    /// A value that was received with this pad on it.
    pub fn padded(received: Challenge, pad: u32) -> Self {
        Self {
            known: received,
            pads: vec![(pad, -Challenge::ONE)],
        }
    }

    /// The value, for whoever knows the pads.
    pub fn reveal(&self, pads: &[Challenge]) -> Challenge {
        let pad = |index: u32| pads.get(index as usize).copied().unwrap_or_default();
        let hidden = self.pads.iter().map(|(index, c)| *c * pad(*index));
        self.known + hidden.sum::<Challenge>()
    }
}

impl From<Challenge> for Value {
    fn from(known: Challenge) -> Self {
        Self {
            known,
            pads: Vec::new(),
        }
    }
}

impl AddAssign<Value> for Value {
    fn add_assign(&mut self, other: Self) {
        self.known += other.known;
        self.pads.extend(other.pads);
    }
}

impl SubAssign<Value> for Value {
    fn sub_assign(&mut self, other: Self) {
        *self += other * -Challenge::ONE;
    }
}

impl Add<Value> for Value {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sub<Value> for Value {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}

impl Mul<Challenge> for Value {
    type Output = Self;

    fn mul(mut self, factor: Challenge) -> Self {
        self.known *= factor;
        self.pads.iter_mut().for_each(|(_, c)| *c *= factor);
        self
    }
}

/// `sum coefficient left right + rest = 0`.
#[derive(Debug, Clone, Default)]
pub struct Quadratic {
    /// What is multiplied.
    pub operands: Vec<Value>,
    /// Coefficients, and the operands' indices.
    pub terms: Vec<(Challenge, usize, usize)>,
    /// What is not multiplied.
    pub rest: Value,
}

impl Quadratic {
    /// The sum of the products for other operands, or of two lists of them.
    pub fn form(&self, left: &[Challenge], right: &[Challenge]) -> Challenge {
        let at = |list: &[Challenge], index: usize| list.get(index).copied().unwrap_or_default();
        let terms = self.terms.iter();
        terms
            .map(|(c, i, j)| *c * at(left, *i) * at(right, *j))
            .sum()
    }

    /// The operands, for whoever knows the pads.
    fn clear(&self, pads: &[Challenge]) -> Vec<Challenge> {
        self.operands
            .iter()
            .map(|value| value.reveal(pads))
            .collect()
    }

    /// Whether it holds, of values without pads.
    fn holds(&self) -> bool {
        let operands: Vec<Challenge> = self.operands.iter().map(|value| value.known).collect();
        self.form(&operands, &operands) + self.rest.known == Challenge::ZERO
    }
}

/// What has to hold of padded values and is not yet settled.
#[derive(Debug, Clone, Default)]
pub struct Debts {
    /// Messages padded so far: the next one has the pad of this index.
    pub next: u32,
    /// Values that have to be zero.
    pub zeros: Vec<Value>,
    /// Equations.
    pub quadratics: Vec<Quadratic>,
}

impl Debts {
    /// Holds the pads that were used to be among those that are committed to.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn fit(&self, block: Block) -> Result<(), Error> {
        match self.next as usize * PAD <= 1 << block.log {
            true => Ok(()),
            false => Err(Error::Length("more")),
        }
    }

    /// The pad of the next message.
    pub fn pad(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }
}

impl Verifier<'_> {
    /// Holds a value to be zero.
    ///
    /// # Errors
    /// The error, where there are no pads; else it is left to the opening.
    pub fn zero(&mut self, value: Value, error: impl FnOnce() -> Error) -> Result<(), Error> {
        match &mut self.debts {
            Some(debts) => debts.zeros.push(value),
            None if value.known == Challenge::ZERO => {}
            None => return Err(error()),
        }
        Ok(())
    }

    /// Holds an equation.
    ///
    /// # Errors
    /// The error, where there are no pads; else it is left to [`settle`].
    pub fn quadratic(
        &mut self,
        quadratic: Quadratic,
        error: impl FnOnce() -> Error,
    ) -> Result<(), Error> {
        match &mut self.debts {
            Some(debts) => debts.quadratics.push(quadratic),
            None if quadratic.holds() => {}
            None => return Err(error()),
        }
        Ok(())
    }
}

/// Who settles: the verifier, who receives, or a prover, who knows the pads and sends.
pub trait Voice {
    /// What both sides absorb.
    fn transcript(&mut self) -> &mut Transcript;

    /// What is to be settled, where there are pads.
    fn debts(&mut self) -> Option<&mut Debts>;

    /// A message with the next pad; the prover says it from its pads.
    ///
    /// # Errors
    /// [`Error::Length`].
    fn padded(&mut self, says: impl FnOnce(&[Challenge]) -> Challenge) -> Result<Value, Error>;

    /// A message in the clear.
    ///
    /// # Errors
    /// [`Error::Length`].
    fn clear(&mut self, says: impl FnOnce(&[Challenge]) -> Challenge) -> Result<Challenge, Error>;
}

impl Voice for Verifier<'_> {
    fn transcript(&mut self) -> &mut Transcript {
        &mut self.transcript
    }

    fn debts(&mut self) -> Option<&mut Debts> {
        self.debts.as_mut()
    }

    fn padded(&mut self, _: impl FnOnce(&[Challenge]) -> Challenge) -> Result<Value, Error> {
        self.receive()
    }

    fn clear(&mut self, _: impl FnOnce(&[Challenge]) -> Challenge) -> Result<Challenge, Error> {
        self.receive_clear()
    }
}

/// Settles the equations: what is left are linear claims about pads alone.
///
/// # Errors
/// [`Error::Length`].
pub fn settle(voice: &mut impl Voice) -> Result<(), Error> {
    let Some(debts) = voice.debts() else {
        return Ok(());
    };
    let quadratics = std::mem::take(&mut debts.quadratics);
    let seconds: Vec<Vec<u32>> = quadratics
        .iter()
        .map(|q| q.operands.iter().map(|_| debts.pad()).collect())
        .collect();
    let mix = voice.transcript().challenge();
    let equations = || mix.powers().zip(quadratics.iter().zip(&seconds));
    let cross = voice.padded(|pads| {
        let sum = equations().map(|(m, (quadratic, seconds))| {
            let (x, a) = (quadratic.clear(pads), pick(pads, seconds));
            m * (quadratic.form(&x, &a) + quadratic.form(&a, &x))
        });
        sum.sum()
    })?;
    let square = voice.padded(|pads| {
        let sum = equations().map(|(m, (quadratic, seconds))| {
            let a = pick(pads, seconds);
            m * quadratic.form(&a, &a)
        });
        sum.sum()
    })?;
    let d = voice.transcript().challenge();
    let mut sum = Value::default() - cross * d - square * d.square();
    for (m, (quadratic, seconds)) in equations() {
        let mut shown = Vec::with_capacity(quadratic.operands.len());
        for (operand, second) in quadratic.operands.iter().zip(seconds) {
            let masked = operand.clone()
                + Value {
                    known: Challenge::ZERO,
                    pads: vec![(*second, d)],
                };
            let value = voice.clear(|pads| masked.reveal(pads))?;
            shown.push(value);
            owe(voice, masked - value.into());
        }
        sum += (Value::from(quadratic.form(&shown, &shown)) + quadratic.rest.clone()) * m;
    }
    owe(voice, sum);
    Ok(())
}

/// A value at a fresh point of all that is committed to, which nobody is shown: what hides the sum of padded claims about a
/// vector that does not hold the pads, as the messages of their reduction determine it.
///
/// # Errors
/// [`Error::Length`].
pub fn mask(
    voice: &mut impl Voice,
    shape: Shape,
    value: impl FnOnce(&[Challenge]) -> Challenge,
) -> Result<Option<Whole>, Error> {
    if voice.debts().is_none() {
        return Ok(None);
    }
    let point = voice.transcript().point(shape.committed_log() as usize);
    let value = voice.padded(|_| value(&point))?;
    Ok(Some(Whole { point, value }))
}

/// A value has to be zero.
pub fn owe(voice: &mut impl Voice, value: Value) {
    if let Some(debts) = voice.debts() {
        debts.zeros.push(value);
    }
}

/// The pads of these indices.
fn pick(pads: &[Challenge], indices: &[u32]) -> Vec<Challenge> {
    let pad = |index: &u32| pads.get(*index as usize).copied().unwrap_or_default();
    indices.iter().map(pad).collect()
}

/// The values that have to be zero, as claims about the vector that holds the pads.
pub fn zeros(voice: &mut impl Voice) -> Vec<Claim> {
    let zeros = voice.debts().map(|debts| std::mem::take(&mut debts.zeros));
    let claim = |value: Value| Claim {
        weights: Vec::new(),
        value,
    };
    zeros.unwrap_or_default().into_iter().map(claim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::lift;

    /// A prover that knows its pads and may lie about one message in the clear.
    struct Speaker {
        transcript: Transcript,
        debts: Option<Debts>,
        pads: Vec<Challenge>,
        /// Says the first message in the clear, from the challenge under which it is said.
        shown: Option<Box<dyn Fn(Challenge) -> Challenge>>,
        /// What is added to the first two padded messages.
        added: Vec<Challenge>,
    }

    impl Speaker {
        /// Holds products of two values to be a third, each padded.
        fn new(products: &[[i64; 3]]) -> Self {
            let pads: Vec<Challenge> = (0..64).map(|i| lift(i * i + 91)).collect();
            let mut debts = Debts::default();
            for product in products {
                let [x, y, z] = product.map(|value| {
                    let index = debts.pad();
                    Value::padded(lift(value) + pads[index as usize], index)
                });
                debts.quadratics.push(Quadratic {
                    operands: vec![x, y],
                    terms: vec![(Challenge::ONE, 0, 1)],
                    rest: Value::default() - z,
                });
            }
            Self {
                transcript: Transcript::default(),
                debts: Some(debts),
                pads,
                shown: None,
                added: Vec::new(),
            }
        }

        /// Settles; returns what is owed, and is zero of an honest prover.
        fn owed(mut self) -> Vec<Challenge> {
            settle(&mut self).unwrap();
            let zeros = self.debts.unwrap().zeros;
            zeros.iter().map(|zero| zero.reveal(&self.pads)).collect()
        }
    }

    impl Voice for Speaker {
        fn transcript(&mut self) -> &mut Transcript {
            &mut self.transcript
        }

        fn debts(&mut self) -> Option<&mut Debts> {
            self.debts.as_mut()
        }

        fn padded(&mut self, says: impl FnOnce(&[Challenge]) -> Challenge) -> Result<Value, Error> {
            let lie = self.added.pop().unwrap_or_default();
            let index = self.debts.as_mut().unwrap().pad();
            let sent = says(&self.pads) + lie + self.pads[index as usize];
            self.transcript.element(sent);
            Ok(Value::padded(sent, index))
        }

        fn clear(
            &mut self,
            says: impl FnOnce(&[Challenge]) -> Challenge,
        ) -> Result<Challenge, Error> {
            let honest = says(&self.pads);
            let lie = self.shown.take();
            let value = lie.map_or(honest, |lie| lie(honest));
            self.transcript.element(value);
            Ok(value)
        }
    }

    const TRUE: [i64; 3] = [6, 7, 42];
    const FALSE: [i64; 3] = [6, 7, 43];

    #[test]
    fn nothing_is_owed_of_what_holds_and_something_of_what_does_not() {
        let zero = |value: &Challenge| *value == Challenge::ZERO;
        assert!(Speaker::new(&[TRUE]).owed().iter().all(zero));
        let owed = Speaker::new(&[FALSE]).owed();
        // What is shown is right, and the equation is not.
        assert_eq!(
            owed.iter().map(zero).collect::<Vec<_>>(),
            [true, true, false]
        );
    }

    #[test]
    fn what_is_missing_in_one_equation_is_not_made_up_for_in_another() {
        let opposite = [5, 5, 24];
        for products in [[FALSE, opposite], [opposite, FALSE]] {
            let owed = Speaker::new(&products).owed();
            assert_ne!(*owed.last().unwrap(), Challenge::ZERO);
        }
    }

    /// The operand that would make the mixed equation hold, shown instead of the right one: it is owed, too.
    #[test]
    fn an_operand_chosen_after_the_challenge_is_owed() {
        let mut speaker = Speaker::new(&[FALSE]);
        // The equation is off by `42 - 43`, and linear in the first operand with the second one as shown: `y + D b`. The pads
        // of the two operands' masks are those of indices 3 and 4.
        let (y, b) = (lift(7), speaker.pads[4]);
        let a = speaker.pads[3];
        speaker.shown = Some(Box::new(move |honest| {
            let d = (honest - lift(6)) * p3_field::Field::inverse(&a);
            honest + p3_field::Field::inverse(&(y + d * b))
        }));
        let owed: Vec<bool> = speaker
            .owed()
            .iter()
            .map(|value| *value == Challenge::ZERO)
            .collect();
        assert_eq!(owed, [false, true, true]);
    }

    #[test]
    fn what_was_said_before_the_challenge_does_not_follow_from_it() {
        for added in [vec![Challenge::ONE], vec![Challenge::ONE, Challenge::ZERO]] {
            let mut speaker = Speaker::new(&[FALSE]);
            speaker.added = added;
            assert_ne!(*speaker.owed().last().unwrap(), Challenge::ZERO);
        }
    }

    #[test]
    fn pads_that_are_not_committed_to_are_refused() {
        let block = Block { offset: 0, log: 4 };
        let used = |next| Debts {
            next,
            ..Debts::default()
        };
        assert_eq!(used(3).fit(block), Ok(()));
        assert_eq!(used(4).fit(block), Err(Error::Length("more")));
    }
}
