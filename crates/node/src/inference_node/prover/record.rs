//! What waits to be proven, on disk: one file for each answer, there before its client has the answer and gone when it is
//! proven or will never be.
//!
//! A file is written beside its place, synced and moved there, so that a crash leaves all of it or nothing. It begins with
//! a digest of the rest; one that does not hold, for whatever reason, is named in the log and removed.

use crate::{api::Opening, error::Error};
use alloy_primitives::{B256, Bytes, keccak256};
use assay_chain::block::MAX_TRANSACTION_BYTES;
use assay_inference::{NamedTensors, npy};
use assay_receipt::{Domain, ReceiptId, SignedReceipt, signature::SIGNED_RECEIPT_BYTES};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Name of the folder in the node's data folder.
const FOLDER: &str = "proofs";
/// How the name of a whole file ends.
const ENDING: &str = ".job";
/// How the name of a file ends that is being written.
const UNFINISHED: &str = ".new";
/// What a file begins with.
const MAGIC: &[u8; 8] = b"proof-1\n";
/// Most bytes of an answer's tensors and names: a proof's transaction has to hold them.
const MAX_BYTES: usize = MAX_TRANSACTION_BYTES;
/// Bytes of a file beside those: magic, digest, seeds, two numbers, four lengths, receipt.
const FRAME_BYTES: usize = 8 + 32 + 64 + 16 + 16 + SIGNED_RECEIPT_BYTES;

/// A tensor in its canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

/// An answer to prove.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::inference_node) struct Job {
    pub(super) signed: SignedReceipt,
    pub(super) id: ReceiptId,
    pub(super) opening: Opening,
    /// CPU time of the inference, microseconds.
    pub(super) infer_cpu_us: u64,
    /// Proving begins by then or never, Unix ns; without it, whenever its turn comes.
    pub(super) prove_by_ns: Option<u64>,
    pub(super) input: Named,
    pub(super) output: Named,
}

impl Named {
    /// The one tensor of a side of an answer.
    pub(super) fn one(tensors: &NamedTensors) -> Result<Self, Error> {
        let fields = npy::canonical_fields(tensors);
        let fields = fields.map_err(|error| Error::Unprovable(error.to_string()))?;
        let [(name, bytes)] = fields.as_slice() else {
            return Err(Error::Unprovable("it is not of one tensor".into()));
        };
        Ok(Self {
            name: (*name).to_owned(),
            bytes: bytes.clone().into(),
        })
    }
}

impl Job {
    /// Whether a proof's transaction can hold its tensors.
    pub(super) fn fits(&self) -> bool {
        let parts = [&self.input, &self.output].map(|part| part.name.len() + part.bytes.len());
        parts.iter().sum::<usize>() <= MAX_BYTES
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut body = [self.opening.input.0, self.opening.output.0].concat();
        body.extend(self.infer_cpu_us.to_le_bytes());
        // The year 2554 stands for no deadline.
        body.extend(self.prove_by_ns.unwrap_or(u64::MAX).to_le_bytes());
        for part in [&self.input, &self.output] {
            for piece in [part.name.as_bytes(), &part.bytes] {
                let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                body.extend(length.to_le_bytes());
                body.extend_from_slice(piece);
            }
        }
        body.extend_from_slice(&self.signed.encode());
        [MAGIC.as_slice(), keccak256(&body).as_slice(), &body].concat()
    }

    /// Reads a file's content; the signature has to be one of this network.
    fn from_bytes(bytes: &[u8], domain: &Domain) -> Result<Self, &'static str> {
        let rest = bytes.strip_prefix(MAGIC.as_slice());
        let rest = rest.ok_or("it is not of this version")?;
        let (digest, body) = rest.split_first_chunk::<32>().ok_or("it is cut off")?;
        if keccak256(body).0 != *digest {
            return Err("its digest does not hold");
        }
        let mut body = Reader(body);
        let opening = Opening {
            input: B256::from(body.array()?),
            output: B256::from(body.array()?),
        };
        let infer_cpu_us = u64::from_le_bytes(body.array()?);
        let prove_by_ns = u64::from_le_bytes(body.array()?);
        let (input, output) = (body.named()?, body.named()?);
        let signed = SignedReceipt::decode(body.0).map_err(|_| "it holds no receipt")?;
        let verified = signed
            .verify(domain)
            .map_err(|_| "its receipt is not of this network")?;
        Ok(Self {
            id: verified.id(),
            signed,
            opening,
            infer_cpu_us,
            prove_by_ns: (prove_by_ns != u64::MAX).then_some(prove_by_ns),
            input,
            output,
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (first, rest) = self.0.split_first_chunk().ok_or("it is cut off")?;
        self.0 = rest;
        Ok(*first)
    }

    fn piece(&mut self) -> Result<&[u8], &'static str> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let (piece, rest) = self.0.split_at_checked(length).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(piece)
    }

    fn named(&mut self) -> Result<Named, &'static str> {
        let name = String::from_utf8(self.piece()?.to_vec());
        Ok(Named {
            name: name.map_err(|_| "a name in it is no text")?,
            bytes: Bytes::copy_from_slice(self.piece()?),
        })
    }
}

/// The folder with the files.
#[derive(Debug)]
pub(super) struct Records {
    folder: PathBuf,
    domain: Domain,
}

impl Records {
    /// Opens or creates the folder in `data`, for the owner's eyes only.
    ///
    /// # Errors
    /// [`Error::Config`] if the disk refuses.
    pub(super) fn open(data: &Path, domain: Domain) -> Result<Self, Error> {
        let folder = data.join(FOLDER);
        let mut made = DirBuilder::new();
        let made = made.recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| Error::config(&folder, error))?;
        Ok(Self { folder, domain })
    }

    /// What was left by whoever ran before; what is not whole is named and removed.
    ///
    /// # Errors
    /// [`Error::Config`] if the folder cannot be read.
    pub(super) fn restore(&self) -> Result<Vec<Job>, Error> {
        let refused = |error| Error::config(&self.folder, error);
        let mut jobs = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            match self.read(&path) {
                Ok(job) if path == self.path(&job.id) => jobs.push(job),
                Ok(_) => self.drop_damaged(&path, "it holds another receipt than its name says"),
                Err(reason) => self.drop_damaged(&path, &reason),
            }
        }
        Ok(jobs)
    }

    fn drop_damaged(&self, path: &Path, reason: &str) {
        let file = path.display();
        tracing::warn!(%file, reason, "what was to be proven is lost: its file is removed");
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(%file, %error, "a file cannot be removed");
        }
    }

    /// Makes a job durable.
    pub(super) fn keep(&self, job: &Job) -> io::Result<()> {
        let path = self.path(&job.id);
        let unfinished = path.with_extension(UNFINISHED.trim_start_matches('.'));
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&unfinished)?;
        file.write_all(&job.to_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Reads a job again.
    pub(super) fn load(&self, id: &ReceiptId) -> Result<Job, Error> {
        self.read(&self.path(id)).map_err(|reason| {
            Error::Unprovable(format!("what its node kept of it is lost: {reason}"))
        })
    }

    /// Forgets a job. One that stays on disk all the same is proven once more, which changes nothing.
    pub(super) fn remove(&self, id: &ReceiptId) {
        if let Err(error) = fs::remove_file(self.path(id)) {
            tracing::warn!(%id, %error, "the file of a finished proof cannot be removed");
        }
    }

    fn read(&self, path: &Path) -> Result<Job, String> {
        let most = MAX_BYTES.saturating_add(FRAME_BYTES);
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|error| error.to_string())?;
        // One byte more tells a longer file from one that ends there.
        let read = file
            .take(most.saturating_add(1) as u64)
            .read_to_end(&mut bytes);
        read.map_err(|error| error.to_string())?;
        if bytes.len() > most {
            return Err("it is too long".into());
        }
        Job::from_bytes(&bytes, &self.domain).map_err(str::to_owned)
    }

    fn path(&self, id: &ReceiptId) -> PathBuf {
        self.folder.join(format!("{id}{ENDING}"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::tests::{domain, key, receipt};

    /// A job of a receipt that `salt` makes its own.
    pub(in crate::inference_node::prover) fn job(salt: u8) -> Job {
        let mut receipt = receipt(1, Default::default(), salt);
        receipt.rung = assay_receipt::Rung::Proven;
        let id = receipt.id(&domain());
        let named = |name: &str| Named {
            name: name.into(),
            bytes: vec![salt; 9].into(),
        };
        Job {
            signed: key().sign(receipt, &domain()).unwrap(),
            id,
            opening: Opening {
                input: B256::repeat_byte(salt),
                output: B256::repeat_byte(salt ^ 0xff),
            },
            infer_cpu_us: 12,
            prove_by_ns: salt.is_multiple_of(2).then_some(77),
            input: named("x"),
            output: named("label"),
        }
    }

    /// The promise of [`job`], with tensors of its own.
    pub(in crate::inference_node::prover) fn promise(salt: u8) -> super::super::Promise {
        let job = job(salt);
        let tensors = |name: &str| {
            let tensor = assay_inference::Tensor::new(&[1, 1], vec![f32::from(salt)]).unwrap();
            NamedTensors::new(vec![(name.to_owned(), tensor)])
        };
        super::super::Promise {
            signed: job.signed,
            id: job.id,
            inputs: tensors("x"),
            outputs: tensors("label"),
            opening: job.opening,
            infer_cpu: std::time::Duration::from_micros(job.infer_cpu_us),
            prove_by_ns: job.prove_by_ns,
        }
    }

    #[test]
    fn what_was_kept_is_read_and_what_was_removed_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path(), domain()).unwrap();
        let jobs = [1, 2, 3].map(job);
        jobs.iter().for_each(|job| records.keep(job).unwrap());
        assert_eq!(records.load(&jobs[1].id).unwrap(), jobs[1]);
        records.remove(&jobs[1].id);
        assert!(records.load(&jobs[1].id).is_err());
        drop(records);
        let again = Records::open(folder.path(), domain()).unwrap();
        let mut found = again.restore().unwrap();
        found.sort_by_key(|job| job.infer_cpu_us + u64::from(job.opening.input.0[0]));
        assert_eq!(found, [jobs[0].clone(), jobs[2].clone()]);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = job(4).to_bytes();
        assert_eq!(Job::from_bytes(&bytes, &domain()).unwrap(), job(4));
        for end in 0..bytes.len() {
            assert!(Job::from_bytes(&bytes[..end], &domain()).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Job::from_bytes(&bytes, &domain()).is_err(), "{at}");
        }
    }

    #[test]
    fn a_file_with_a_good_digest_and_a_bad_content_is_refused_for_its_reason() {
        let sealed = |body: &[u8]| [MAGIC.as_slice(), keccak256(body).as_slice(), body].concat();
        let body = job(4).to_bytes()[40..].to_vec();
        let refused = |body: &[u8]| Job::from_bytes(&sealed(body), &domain()).unwrap_err();
        assert_eq!(refused(&[]), "it is cut off");
        assert_eq!(refused(&body[..body.len() - 1]), "it holds no receipt");
        assert_eq!(refused(&[&body[..], &[0]].concat()), "it holds no receipt");
        let with = |at: usize, value: u8| {
            let mut body = body.clone();
            body[at] = value;
            body
        };
        assert_eq!(refused(&with(83, 255)), "it is cut off");
        assert_eq!(refused(&with(84, 0xff)), "a name in it is no text");
        let other = "its receipt is not of this network";
        assert_eq!(
            refused(&with(body.len() - SIGNED_RECEIPT_BYTES + 1, 2)),
            other
        );
    }

    #[test]
    fn what_is_not_whole_is_removed_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path(), domain()).unwrap();
        let jobs = [1, 2, 3].map(job);
        jobs.iter().for_each(|job| records.keep(job).unwrap());
        let torn = records.path(&jobs[0].id);
        let bytes = fs::read(&torn).unwrap();
        fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
        fs::rename(records.path(&jobs[1].id), records.folder.join("0x12.job")).unwrap();
        fs::write(records.folder.join("half.new"), b"proof").unwrap();
        fs::write(records.folder.join("long.job"), vec![0; 1 << 20]).unwrap();
        assert_eq!(records.restore().unwrap(), [jobs[2].clone()]);
        assert_eq!(fs::read_dir(&records.folder).unwrap().count(), 1);
    }

    #[test]
    fn tensors_that_no_transaction_holds_do_not_fit() {
        let mut job = job(1);
        assert!(job.fits());
        job.input.bytes = vec![0; MAX_BYTES].into();
        assert!(!job.fits());
    }
}
