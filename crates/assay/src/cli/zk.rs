//! `assay zk`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `assay zk`.
#[derive(Debug, Subcommand)]
pub enum Zk {
    /// Predict what a proof costs on this machine, from the model alone.
    Quote(ZkQuote),
    /// Quantise a revision, commit to its weights and show that they are in range.
    Setup(ZkSetup),
    /// Run a model and prove the run.
    Prove(ZkProve),
    /// Verify a proof with nothing but the proof file and the model's commitment.
    Verify(ZkVerify),
    /// Proofs of small models that any EVM checks, under a setup that one party made.
    #[command(subcommand)]
    Groth16(Groth16),
}

/// `assay zk quote`.
#[derive(Debug, Args)]
pub struct ZkQuote {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Inferences in the one proof.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: usize,
    /// What an hour of CPU costs, in any unit; the price is given in the same.
    #[arg(long, value_name = "PRICE")]
    pub per_cpu_hour: Option<f64>,
    /// Predict the mode that hides the weights.
    #[arg(long)]
    pub zero_knowledge: bool,
}

/// `assay zk setup`.
#[derive(Debug, Args)]
pub struct ZkSetup {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Write the commitment to FILE.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Hide the weights (mode `zero-knowledge`), and keep what hides them in SECRET, which must not be shown or copied.
    #[arg(long, value_name = "SECRET")]
    pub zero_knowledge: Option<PathBuf>,
}

/// `assay zk prove`.
#[derive(Debug, Args)]
pub struct ZkProve {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Inputs: JSON {"NAME": nested arrays}, or .npy; the first axis counts inferences, all proven at once.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Write the proof with its public values to FILE.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Network on which the proof is to count (0x and 64 digits).
    #[arg(long, value_name = "ID")]
    pub network_id: Option<String>,
    /// What else to bind the proof to, such as a receipt's id (0x and 64 digits).
    #[arg(long, value_name = "DIGEST")]
    pub context: Option<String>,
    /// Prove under the commitment that `assay zk setup --zero-knowledge SECRET` made, and count the opening in SECRET.
    #[arg(long, value_name = "SECRET")]
    pub zero_knowledge: Option<PathBuf>,
}

/// `assay zk verify`.
#[derive(Debug, Args)]
pub struct ZkVerify {
    /// The proof file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The model's commitment file. This is all that is trusted.
    #[arg(long, value_name = "FILE")]
    pub commitment: PathBuf,
}

/// `assay zk groth16`.
#[derive(Debug, Subcommand)]
pub enum Groth16 {
    /// Make the keys of a size class alone; whoever does can forge unless the randomness is forgotten.
    Setup(Groth16Setup),
    /// Quantise a revision and commit to it, with a salt that is kept.
    Commit(Groth16Commit),
    /// Run a committed model and prove the run.
    Prove(Groth16Prove),
    /// Verify a proof with nothing but the proof file and the verifying key.
    Verify(Groth16Verify),
    /// Print a contract that verifies proofs under a key.
    Solidity(Groth16Solidity),
}

/// `assay zk groth16 setup`.
#[derive(Debug, Args)]
pub struct Groth16Setup {
    /// Size class: assay-groth16-16-4 or assay-groth16-64-32-10.
    #[arg(value_name = "CLASS")]
    pub class: String,
    /// Write the proving key to FILE.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Write the verifying key to FILE.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

/// `assay zk groth16 commit`.
#[derive(Debug, Args)]
pub struct Groth16Commit {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Keep the salt of the commitment in SECRET, which every proof under it needs.
    #[arg(long, value_name = "SECRET")]
    pub secret: PathBuf,
}

/// `assay zk groth16 prove`.
#[derive(Debug, Args)]
pub struct Groth16Prove {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Inputs of one inference: JSON {"NAME": nested arrays}, or .npy.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// The proving key of the model's size class.
    #[arg(long, value_name = "FILE")]
    pub keys: PathBuf,
    /// The salt that `assay zk groth16 commit` kept.
    #[arg(long, value_name = "SECRET")]
    pub secret: PathBuf,
    /// Write the proof with its public values to FILE.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// What to bind the proof to, such as a receipt's id (0x and 64 digits).
    #[arg(long, value_name = "DIGEST")]
    pub context: Option<String>,
}

/// `assay zk groth16 verify`.
#[derive(Debug, Args)]
pub struct Groth16Verify {
    /// The proof file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The verifying key. This and the commitment are all that is trusted.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The commitment to the model that the proof has to be of (0x and 64 digits).
    #[arg(long, value_name = "COMMITMENT")]
    pub commitment: Option<String>,
}

/// `assay zk groth16 solidity`.
#[derive(Debug, Args)]
pub struct Groth16Solidity {
    /// The verifying key.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Name of the contract.
    #[arg(long, value_name = "NAME", default_value = "Groth16Verifier")]
    pub name: String,
}
