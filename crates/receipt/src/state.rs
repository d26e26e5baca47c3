//! The states of a receipt and the only ways from one to the next.

use serde::{Deserialize, Serialize};

/// Where a receipt stands: `Promised > Executed > Evidenced > Settled`, or off that line `Expired` or `Refuted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptState {
    /// A node has taken the request on.
    Promised,
    /// The answer exists and the node has signed for it.
    Executed,
    /// The promised rung of evidence is there.
    Evidenced,
    /// The receipt is in a finalized block.
    Settled,
    /// The deadline passed before the promised rung was there.
    Expired,
    /// A verifier has shown the receipt to be false; final.
    Refuted,
}

/// What can happen to a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The node answered and signed.
    Executed,
    /// Evidence of the promised rung was verified.
    Evidenced,
    /// A block with the receipt was finalized.
    Settled,
    /// The deadline passed.
    DeadlinePassed,
    /// A verifier refuted the receipt.
    Refuted,
}

/// An event that cannot happen in this state: the caller has lost track of the receipt, or is lied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a receipt that is {state:?} cannot become {event:?}")]
pub struct IllegalTransition {
    /// The state in which the event came; it remains.
    pub state: ReceiptState,
    /// The event that came.
    pub event: Event,
}

impl ReceiptState {
    /// Every state, in the order of the type.
    pub const ALL: [Self; 6] = [
        Self::Promised,
        Self::Executed,
        Self::Evidenced,
        Self::Settled,
        Self::Expired,
        Self::Refuted,
    ];

    /// The state after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] for an event that this state does not allow.
    pub fn apply(self, event: Event) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Promised, Event::Executed) => Ok(Self::Executed),
            (Self::Executed, Event::Evidenced) => Ok(Self::Evidenced),
            (Self::Evidenced, Event::Settled) => Ok(Self::Settled),
            (Self::Promised | Self::Executed, Event::DeadlinePassed) => Ok(Self::Expired),
            // What nobody has signed cannot be false.
            (Self::Executed | Self::Evidenced | Self::Settled | Self::Expired, Event::Refuted) => {
                Ok(Self::Refuted)
            }
            (state, event) => Err(IllegalTransition { state, event }),
        }
    }
}

impl Event {
    /// Every event, in the order of the type.
    pub const ALL: [Self; 5] = [
        Self::Executed,
        Self::Evidenced,
        Self::Settled,
        Self::DeadlinePassed,
        Self::Refuted,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows: states in order of `ReceiptState::ALL`; columns: events in order of `Event::ALL`.
    const TABLE: [[Option<ReceiptState>; 5]; 6] = {
        use ReceiptState::{Evidenced, Executed, Expired, Refuted, Settled};
        [
            [Some(Executed), None, None, Some(Expired), None],
            [None, Some(Evidenced), None, Some(Expired), Some(Refuted)],
            [None, None, Some(Settled), None, Some(Refuted)],
            [None, None, None, None, Some(Refuted)],
            [None, None, None, None, Some(Refuted)],
            [None, None, None, None, None],
        ]
    };

    #[test]
    fn every_transition_is_as_the_table_says() {
        for (state, row) in ReceiptState::ALL.into_iter().zip(TABLE) {
            for (event, expected) in Event::ALL.into_iter().zip(row) {
                let refused = IllegalTransition { state, event };
                assert_eq!(state.apply(event), expected.ok_or(refused));
            }
        }
    }

    #[test]
    fn refuted_is_final() {
        assert!(
            Event::ALL
                .iter()
                .all(|event| ReceiptState::Refuted.apply(*event).is_err())
        );
    }
}
