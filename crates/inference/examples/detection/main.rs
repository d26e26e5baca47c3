//! How many wrong answers a re-check finds, and how many right ones it takes for wrong: the table of `make detection`.
//!
//! `cargo run -p assay-inference --example detection -- [HONEST [CHEATS]]` prints the section of BENCHMARKS.md.

mod answers;
mod exact;
mod figures;
mod floats;

use answers::Subject;
use exact::{Row, Scale};

/// The allocator of the node.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let counts: Vec<usize> = std::env::args()
        .skip(1)
        .map(|count| count.parse().expect("a number"))
        .collect();
    let scale = Scale {
        honest: counts.first().copied().unwrap_or(10_000),
        cheats: counts.get(1).copied().unwrap_or(400),
        kernels: 100,
    };
    let subject = Subject::open();
    let turns = subject.turns();
    let (honest, apart) = exact::honest(&subject, &turns, &scale);
    let cheats = exact::cheats(&subject, &turns, &scale);
    println!(
        "The repository's chat model (2.75 M parameters), prompts of {} held-out turns, answers of at most {} tokens at \
         temperatures of 0.7 to 1.5, seeds all different; makers and checkers with other batches, numbers of threads and \
         cuts of prompts. A re-check is one pass over an answer in which each token is chosen again. \"By tokens\" is what \
         whoever has only the text's tokens finds; \"by steps\" also compares the digest of the scores that a receipt's \
         stream commits to. Intervals are Wilson's, 95 %. Other models and longer answers have other rates by tokens.\n",
        turns.len(),
        answers::ANSWER,
    );
    println!(
        "| answers | re-checks | maker's scores | tokens other than the honest answer's | found by tokens | found by steps | rate by steps | first difference, median token |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    std::iter::once(&honest).chain(&cheats).for_each(print);
    println!(
        "\nOf the honest answers, {} had their scores computed again by the scalar, AVX2 and AVX-512 kernels (where this \
         machine has them): {apart} differed. Another seed or temperature changes no score: it shows where it changes a \
         token, and where it does not, the answer is the honest one to the letter. In the last row the maker has the model \
         and writes another answer: only choosing the tokens again finds that.\n",
        scale.kernels.min(scale.honest),
    );
    committees();
    println!(
        "\nTolerant re-checks of float back ends are not measured: there is no fingerprint yet, and no receipt of such a \
         back end says that it can be re-checked."
    );
}

fn print(row: &Row) {
    let (least, most) = figures::wilson(row.by_steps(), row.answers);
    let mut first: Vec<usize> = row.found.iter().filter_map(|found| found.steps).collect();
    first.sort_unstable();
    let median = first
        .get(first.len() / 2)
        .map_or("none".into(), |at| (at + 1).to_string());
    println!(
        "| {} | {} | {} | {} | {} | {} | {:.2} % ({:.2}-{:.2}) | {median} |",
        row.sort,
        row.answers,
        if row.by_digest {
            "not the model's"
        } else {
            "the model's"
        },
        row.other,
        row.by_tokens(),
        row.by_steps(),
        100.0 * row.by_steps() as f64 / row.answers as f64,
        100.0 * least,
        100.0 * most,
    );
}

fn committees() {
    println!(
        "A checker that copies: a commitment holds its member's address, so a copied one cannot be revealed, and who does not \
         reveal pays the penalty unless it has too many duties. A member that says \"right\" without computing has to name a digest \
         of the work, and pays where a majority of the committee named another. It pays nothing where too few computed, nor \
         where another member passes the digest on outside the chain, which nothing here finds. Calculated by the rules of \
         Checks.sol for committees of {} that are independent draws, and in brackets as {} draws of a simulation. The rates are those of the lottery for operators with a record, new ones, and ones that lost a check.\n",
        figures::COMMITTEE,
        TRIES,
    );
    println!(
        "| share of honest checkers | wrong answer found, lottery 2 % | lottery 20 % | lottery 50 % | asked for | lazy member penalised, right answer |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for honest in [0.1, 0.3, 0.5, 0.7, 0.9, 1.0] {
        let cells = [0.02, 0.2, 0.5, 1.0].map(|rate| {
            let drawn = figures::drawn(rate, honest, 1.0, TRIES).0;
            format!(
                "{:.2} % ({:.2})",
                100.0 * figures::found(rate, honest, 1.0),
                100.0 * drawn
            )
        });
        let lazy = figures::drawn(1.0, honest, 1.0, TRIES).1;
        let exact = 100.0 * figures::lazy_penalised(honest);
        println!(
            "| {honest} | {} | {exact:.2} % ({:.2}) |",
            cells.join(" | "),
            100.0 * lazy
        );
    }
}

/// Draws of a simulation.
const TRIES: u32 = 200_000;
