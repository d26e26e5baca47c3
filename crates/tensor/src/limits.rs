//! What a file and a run may cost.

use crate::error::Fault;

/// Bounds on a model file, checked while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelLimits {
    /// Bytes of the file. Memory for the parsed form stays within a small multiple of it.
    pub file_bytes: u64,
    /// Nodes of the graph.
    pub nodes: u64,
    /// Initial tensors of the graph.
    pub initializers: u64,
}

impl Default for ModelLimits {
    /// 512 MiB (the ONNX format ends at 2 GiB), 20,000 nodes and tensors (the largest public vision models have 5,000).
    fn default() -> Self {
        Self {
            file_bytes: 512 << 20,
            nodes: 20_000,
            initializers: 20_000,
        }
    }
}

/// Bounds on one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimits {
    /// Elements of all inputs together.
    pub input_elements: u64,
    /// Bytes of values alive at once, inputs included, the model's own tensors not.
    pub memory_bytes: u64,
    /// Estimated elementary operations (a multiply-add counts one), reserved before each node.
    pub operations: u64,
}

impl Default for RunLimits {
    /// 4 M elements (16 MiB of f32), 1 GiB, and 10^11 operations (about half a minute of one core).
    fn default() -> Self {
        Self {
            input_elements: 4 << 20,
            memory_bytes: 1 << 30,
            operations: 100_000_000_000,
        }
    }
}

/// What a run has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Elements of all inputs together.
    pub input_elements: u64,
    /// The most bytes of values that were alive at once.
    pub peak_memory_bytes: u64,
    /// Estimated elementary operations.
    pub operations: u64,
}

/// The running account of one run; everything is reserved here before it is allocated or computed.
pub(crate) struct Budget<'a> {
    limits: RunLimits,
    in_use: u64,
    usage: Usage,
    cancel: &'a dyn Fn() -> bool,
}

impl<'a> Budget<'a> {
    /// An empty account.
    pub(crate) fn new(limits: RunLimits, cancel: &'a dyn Fn() -> bool) -> Self {
        Self {
            limits,
            in_use: 0,
            usage: Usage::default(),
            cancel,
        }
    }

    /// Counts the elements of an input and its bytes.
    pub(crate) fn admit(&mut self, elements: u64, bytes: u64) -> Result<(), Fault> {
        let needed = self.usage.input_elements.saturating_add(elements);
        check(
            "the number of input elements",
            needed,
            self.limits.input_elements,
        )?;
        self.usage.input_elements = needed;
        self.reserve_bytes(bytes)
    }

    /// Reserves memory.
    pub(crate) fn reserve_bytes(&mut self, bytes: u64) -> Result<(), Fault> {
        let needed = self.in_use.saturating_add(bytes);
        check("memory in bytes", needed, self.limits.memory_bytes)?;
        self.in_use = needed;
        self.usage.peak_memory_bytes = self.usage.peak_memory_bytes.max(needed);
        Ok(())
    }

    /// An empty vector with room for `elements` that have been reserved.
    pub(crate) fn vector<T>(&mut self, elements: usize) -> Result<Vec<T>, Fault> {
        self.reserve_bytes((elements as u64).saturating_mul(size_of::<T>() as u64))?;
        Ok(Vec::with_capacity(elements))
    }

    /// A vector of `elements` copies of `value`.
    pub(crate) fn filled<T: Clone>(&mut self, elements: usize, value: T) -> Result<Vec<T>, Fault> {
        self.reserve_bytes((elements as u64).saturating_mul(size_of::<T>() as u64))?;
        Ok(vec![value; elements])
    }

    /// Reserves work and lets the caller stop the run.
    pub(crate) fn charge(&mut self, operations: u64) -> Result<(), Fault> {
        let needed = self.usage.operations.saturating_add(operations);
        check("the number of operations", needed, self.limits.operations)?;
        self.usage.operations = needed;
        if (self.cancel)() {
            Err(Fault::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Bytes in use now.
    pub(crate) fn in_use(&self) -> u64 {
        self.in_use
    }

    /// Sets the bytes in use after a node: its scratch is gone, its outputs stay.
    pub(crate) fn settle(&mut self, in_use: u64) {
        self.in_use = in_use;
    }

    /// What was used in all.
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }
}

/// Refuses what is over its limit.
fn check(what: &'static str, needed: u64, limit: u64) -> Result<(), Fault> {
    if needed > limit {
        Err(Fault::Exhausted {
            what,
            needed,
            limit,
        })
    } else {
        Ok(())
    }
}

/// The product of factors as a charge, saturating.
pub(crate) fn work(factors: &[usize]) -> u64 {
    factors
        .iter()
        .fold(1u64, |all, factor| all.saturating_mul(*factor as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_enforced_before_spending() {
        let limits = RunLimits {
            input_elements: 10,
            memory_bytes: 100,
            operations: 50,
        };
        let go = || false;
        let mut budget = Budget::new(limits, &go);
        assert!(budget.admit(10, 40).is_ok());
        assert!(matches!(
            budget.admit(1, 4),
            Err(Fault::Exhausted {
                needed: 11,
                limit: 10,
                ..
            })
        ));
        assert!(matches!(
            budget.vector::<f32>(16),
            Err(Fault::Exhausted { needed: 104, .. })
        ));
        assert!(matches!(
            budget.vector::<f64>(usize::MAX),
            Err(Fault::Exhausted { .. })
        ));
        assert!(budget.charge(50).is_ok());
        assert!(matches!(
            budget.charge(1),
            Err(Fault::Exhausted { needed: 51, .. })
        ));
        assert_eq!(
            budget.usage(),
            Usage {
                input_elements: 10,
                peak_memory_bytes: 40,
                operations: 50
            }
        );
    }

    #[test]
    fn cancellation_stops_at_the_next_charge() {
        let stop = || true;
        assert_eq!(
            Budget::new(RunLimits::default(), &stop).charge(1),
            Err(Fault::Cancelled)
        );
    }
}
