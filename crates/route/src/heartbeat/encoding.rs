//! The one byte form of a heartbeat. Integers are big-endian and of fixed width.

use assay_receipt::{EngineId, Microcredits, NodeAddress, RevisionId, Signature};

use super::{
    HEARTBEAT_BYTES_MOST, Heartbeat, Price, SERVED_BYTES, SERVED_MOST, Served, SignedHeartbeat,
    Stamp, VERSION,
};
use crate::Error;

impl Heartbeat {
    /// Version, node, boot, counter, clock, whether it drains, the endpoint after its length in one byte, the served
    /// revisions after their number in one byte.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEARTBEAT_BYTES_MOST.min(512));
        out.push(VERSION);
        out.extend_from_slice(self.node.as_bytes());
        for number in [self.stamp.boot, self.stamp.counter, self.wall_ns] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.push(u8::from(self.draining));
        // A heartbeat that was checked has no longer endpoint and no more revisions.
        out.push(u8::try_from(self.endpoint.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(self.endpoint.as_bytes());
        out.push(u8::try_from(self.served.len()).unwrap_or(u8::MAX));
        for served in &self.served {
            write_served(served, &mut out);
        }
        out
    }
}

fn write_served(served: &Served, out: &mut Vec<u8>) {
    out.extend_from_slice(served.revision.as_bytes());
    out.extend_from_slice(served.engine.as_bytes());
    for amount in [served.price.input, served.price.output] {
        out.extend_from_slice(&amount.0.to_be_bytes());
    }
    let numbers = [
        served.slots,
        served.running,
        served.queued,
        served.prefill_rate,
        served.decode_rate,
        served.first_token_ms,
        served.free_cache,
        served.rungs,
    ];
    for number in numbers {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<SignedHeartbeat, Error> {
    let mut from = Reader(bytes);
    if from.array()? != [VERSION] {
        return Err(Error::Malformed("its version is not 1"));
    }
    let node = NodeAddress::from_bytes(from.array()?);
    let stamp = Stamp {
        boot: from.u64()?,
        counter: from.u64()?,
    };
    let wall_ns = from.u64()?;
    let draining = match from.array()? {
        [0] => false,
        [1] => true,
        _ => return Err(Error::Malformed("whether it drains is neither 0 nor 1")),
    };
    let [length] = from.array()?;
    let endpoint = std::str::from_utf8(from.bytes(length.into())?);
    let endpoint = endpoint
        .map_err(|_| Error::Malformed("its endpoint is no text"))?
        .to_owned();
    let [count] = from.array()?;
    super::check_most("served revisions", count.into(), SERVED_MOST)?;
    let served = (0..count)
        .map(|_| read_served(&mut from))
        .collect::<Result<_, _>>()?;
    let signature = Signature::from_bytes(from.array()?);
    let signature = signature.map_err(|_| Error::Malformed("its signature has another form"))?;
    if !from.0.is_empty() {
        return Err(Error::Malformed("bytes follow its signature"));
    }
    let heartbeat = Heartbeat {
        node,
        stamp,
        wall_ns,
        draining,
        endpoint,
        served,
    };
    heartbeat.check()?;
    Ok(SignedHeartbeat {
        heartbeat,
        signature,
    })
}

fn read_served(from: &mut Reader<'_>) -> Result<Served, Error> {
    let mut from = Reader(from.bytes(SERVED_BYTES)?);
    Ok(Served {
        revision: RevisionId::from_bytes(from.array()?),
        engine: EngineId::from_bytes(from.array()?),
        price: Price {
            input: Microcredits(from.u64()?),
            output: Microcredits(from.u64()?),
        },
        slots: from.u32()?,
        running: from.u32()?,
        queued: from.u32()?,
        prefill_rate: from.u32()?,
        decode_rate: from.u32()?,
        first_token_ms: from.u32()?,
        free_cache: from.u32()?,
        rungs: from.u32()?,
    })
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(Error::Malformed("it is cut off"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let cut = Error::Malformed("it is cut off");
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(cut)?;
        self.0 = rest;
        Ok(*head)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }
}
