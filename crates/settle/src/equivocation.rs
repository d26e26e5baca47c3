//! Equivocation: two different receipts that one node signed under one sequence number.

use assay_receipt::{Domain, NodeAddress, ReceiptId, RevisionId, SignedReceipt};

use crate::Error;

/// Two receipts that convict their node; only [`Equivocation::prove`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    receipts: [SignedReceipt; 2],
    ids: [ReceiptId; 2],
}

impl Equivocation {
    /// Checks that `a` and `b` are of the same node, revision and sequence number, both signed, and different.
    ///
    /// # Errors
    /// [`Error::NoEquivocation`] or [`Error::Receipt`] where they convict nobody.
    pub fn prove(a: SignedReceipt, b: SignedReceipt, domain: &Domain) -> Result<Self, Error> {
        if a.receipt.node != b.receipt.node {
            return Err(Error::NoEquivocation("the receipts are of two nodes"));
        }
        if a.receipt.revision != b.receipt.revision {
            return Err(Error::NoEquivocation("the receipts are for two revisions"));
        }
        if a.receipt.sequence != b.receipt.sequence {
            return Err(Error::NoEquivocation(
                "the receipts have two sequence numbers",
            ));
        }
        let (first, second) = (a.verify(domain)?.id(), b.verify(domain)?.id());
        if first == second {
            return Err(Error::NoEquivocation("it is one receipt"));
        }
        // In order of id, so that the same pair is one proof whoever hands it in.
        let (receipts, ids) = if first < second {
            ([a, b], [first, second])
        } else {
            ([b, a], [second, first])
        };
        Ok(Self { receipts, ids })
    }

    /// The two receipts, in order of id.
    pub fn receipts(&self) -> &[SignedReceipt; 2] {
        &self.receipts
    }

    /// Their ids, ascending.
    pub fn ids(&self) -> &[ReceiptId; 2] {
        &self.ids
    }

    /// The node that is convicted.
    pub fn node(&self) -> NodeAddress {
        let [first, _] = &self.receipts;
        first.receipt.node
    }

    /// The revision in whose stream it happened.
    pub fn revision(&self) -> RevisionId {
        let [first, _] = &self.receipts;
        first.receipt.revision
    }

    /// The sequence number that was used twice.
    pub fn sequence(&self) -> u64 {
        let [first, _] = &self.receipts;
        first.receipt.sequence
    }
}

#[cfg(test)]
mod tests {
    use assay_receipt::{Microcredits, NodeKey, Receipt, RevisionId};

    use super::*;
    use crate::Position;
    use crate::verify::tests::{domain, key, receipt};

    fn first() -> Receipt {
        receipt(1, Position::default())
    }

    fn sign(receipt: Receipt) -> SignedReceipt {
        key().sign(receipt, &domain()).unwrap()
    }

    #[test]
    fn two_receipts_under_one_number_convict() {
        let a = sign(first());
        let b = sign(Receipt {
            price: Microcredits(1),
            ..first()
        });
        let proof = Equivocation::prove(a.clone(), b.clone(), &domain()).unwrap();
        assert_eq!(proof, Equivocation::prove(b, a, &domain()).unwrap());
        assert_eq!((proof.node(), proof.sequence()), (key().address(), 0));
        assert_eq!(proof.revision(), first().revision);
        assert!(proof.ids()[0] < proof.ids()[1]);
        assert_eq!(proof.receipts()[0].receipt.id(&domain()), proof.ids()[0]);
    }

    #[test]
    fn nobody_is_convicted_without_a_crime() {
        let honest = sign(first());
        let prove = |other: SignedReceipt| Equivocation::prove(honest.clone(), other, &domain());
        assert!(matches!(
            prove(honest.clone()),
            Err(Error::NoEquivocation(_))
        ));
        let next = Position {
            sequence: 1,
            previous: first().id(&domain()),
        };
        assert!(matches!(
            prove(sign(receipt(1, next))),
            Err(Error::NoEquivocation(_))
        ));
        let elsewhere = Receipt {
            revision: RevisionId::from_bytes([2; 32]),
            ..first()
        };
        assert!(matches!(
            prove(sign(elsewhere)),
            Err(Error::NoEquivocation(_))
        ));
        let stranger = NodeKey::from_bytes([0x22; 32]).unwrap();
        let foreign = Receipt {
            node: stranger.address(),
            ..first()
        };
        let foreign = stranger.sign(foreign, &domain()).unwrap();
        assert!(matches!(prove(foreign), Err(Error::NoEquivocation(_))));
    }

    #[test]
    fn nobody_is_framed() {
        let honest = sign(first());
        let mut forged = honest.clone();
        forged.receipt.price = Microcredits(1);
        let proof = Equivocation::prove(honest.clone(), forged, &domain());
        assert!(matches!(proof, Err(Error::Receipt(_))));
        // Signed by the node, but on another network.
        let other = Domain::new(2, domain().network(), domain().settlement());
        let abroad = key()
            .sign(
                Receipt {
                    price: Microcredits(1),
                    ..first()
                },
                &other,
            )
            .unwrap();
        assert!(matches!(
            Equivocation::prove(honest, abroad, &domain()),
            Err(Error::Receipt(_))
        ));
    }
}
