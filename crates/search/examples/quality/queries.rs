//! Queries of six kinds, and which models truly serve them.

use super::jobs::{JOBS, Job};
use super::world::{Chance, Model, Nature, SPOKEN, World};

/// The six kinds, in the order of the tables.
pub const KINDS: [&str; 6] = [
    "known item",
    "task",
    "constraint",
    "comparative",
    "typo or abbreviation",
    "natural-language need",
];

/// What else a model must be.
#[derive(Clone, Default, Debug)]
pub struct Limits {
    pub licence: Option<&'static str>,
    pub for_sale: bool,
    pub most: Option<u64>,
    pub least: Option<u64>,
    pub quantised: Option<bool>,
    pub library: Option<&'static str>,
    pub not_family: Option<&'static str>,
    pub small: bool,
}

/// Who is first among those that serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First {
    Good,
    Best,
    Smallest,
}

/// What the person behind a query wants.
pub enum Wish {
    Item(usize),
    Job {
        job: &'static Job,
        language: Option<&'static str>,
        pair: Option<(&'static str, &'static str)>,
        limits: Limits,
        first: First,
    },
}

pub struct Asked {
    pub text: String,
    /// What the text was made around: a phrase of a job, or a name. The halves are split by it, so that no phrase is in
    /// both.
    pub core: String,
    pub kind: usize,
    pub wish: Wish,
}

impl Asked {
    /// Whether tuning may look at it: the other half is shown only when asked for by name.
    pub fn development(&self) -> bool {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let hash = self.core.bytes().fold(0xcbf2_9ce4_8422_2325, step);
        (hash ^ (hash >> 32)) & 1 == 0
    }
}

/// `each` queries of every kind.
pub fn queries(world: &World, each: usize, seed: u64) -> Vec<Asked> {
    let mut chance = Chance::new(seed);
    let mut all: Vec<Asked> = Vec::new();
    for kind in 0..KINDS.len() {
        let mut tries = 0;
        let mut have = 0;
        while have < each && tries < each * 60 {
            tries += 1;
            let asked = one(world, kind, &mut chance);
            let known = all
                .iter()
                .any(|other| other.text.eq_ignore_ascii_case(&asked.text));
            let relevant = grades(world, &asked.wish)
                .iter()
                .filter(|grade| **grade >= 2)
                .count();
            // What nearly every model serves, or none, says nothing about a ranking.
            if !known && relevant > 0 && relevant * 8 < world.models.len() {
                all.push(asked);
                have += 1;
            }
        }
    }
    all
}

/// The text, its core, and the wish behind it.
type Made = (String, String, Wish);

/// Texts alone, each different, for measuring speed.
pub fn texts(world: &World, count: usize, seed: u64) -> Vec<String> {
    let mut chance = Chance::new(seed);
    let mut seen = std::collections::HashSet::new();
    let mut texts = Vec::with_capacity(count);
    while texts.len() < count {
        let kind = chance.below(KINDS.len());
        let asked = one(world, kind, &mut chance);
        if seen.insert(asked.text.clone()) {
            texts.push(asked.text);
        }
    }
    texts
}

fn one(world: &World, kind: usize, chance: &mut Chance) -> Asked {
    let (text, core, wish) = match kind {
        0 => item(world, chance),
        1 => task(chance),
        2 => constraint(chance),
        3 => comparative(chance),
        4 => sloppy(world, chance),
        _ => need(chance),
    };
    Asked {
        text,
        core,
        kind,
        wish,
    }
}

fn item(world: &World, chance: &mut Chance) -> Made {
    let at = loop {
        let at = chance.below(world.models.len());
        let model = &world.models[at];
        if model.nature == Nature::Own && (model.source.is_none() || chance.happens(0.3)) {
            break at;
        }
    };
    let id = &world.models[at].id;
    let (space, name) = id.split_once('/').unwrap_or_default();
    let text = match chance.below(5) {
        0 => name.to_owned(),
        1 => name.replace(['-', '_'], " ").to_lowercase(),
        2 => format!("{space} {}", name.replace(['-', '_'], " ")),
        3 => id.clone(),
        _ => name.to_lowercase(),
    };
    (text, id.clone(), Wish::Item(at))
}

fn plain(job: &'static Job) -> Wish {
    Wish::Job {
        job,
        language: None,
        pair: None,
        limits: Limits::default(),
        first: First::Good,
    }
}

fn language(job: &Job, chance: &mut Chance, likely: f64) -> Option<(&'static str, &'static str)> {
    (job.spoken && job.key != "translate" && chance.happens(likely)).then(|| {
        let (code, name, _) = SPOKEN[1 + chance.below(10)];
        (code, name)
    })
}

fn task(chance: &mut Chance) -> Made {
    let job = chance.pick(&JOBS);
    let ask = *chance.pick(job.asks);
    if job.key == "translate" {
        let (from, to) = if chance.happens(0.5) {
            (SPOKEN[0], SPOKEN[1 + chance.below(10)])
        } else {
            (SPOKEN[1 + chance.below(10)], SPOKEN[0])
        };
        let text = match chance.below(3) {
            0 => format!("{} to {} translation", from.1, to.1),
            1 => format!("translate {} into {}", from.1, to.1),
            _ => format!("{} {} machine translation", from.1, to.1).to_lowercase(),
        };
        return (
            text,
            format!("{} {}", from.0, to.0),
            Wish::Job {
                job,
                language: None,
                pair: Some((from.0, to.0)),
                limits: Limits::default(),
                first: First::Good,
            },
        );
    }
    match language(job, chance, 0.5) {
        Some((code, name)) => {
            let text = match chance.below(3) {
                0 => format!("{name} {ask}"),
                1 => format!("{ask} in {name}"),
                _ => format!("{ask} {}", name.to_lowercase()),
            };
            (
                text,
                ask.to_owned(),
                Wish::Job {
                    job,
                    language: Some(code),
                    pair: None,
                    limits: Limits::default(),
                    first: First::Good,
                },
            )
        }
        None => (ask.to_owned(), ask.to_owned(), plain(job)),
    }
}

/// One limit with the words for it.
fn limit(job: &Job, limits: &mut Limits, chance: &mut Chance) -> String {
    let large = job.tag == "text-generation" || job.tag == "image-text-to-text";
    match chance.below(8) {
        0 => {
            limits.licence = Some("apache-2.0");
            (*chance.pick(&["apache licence", "apache 2.0", "under Apache-2.0 license"])).into()
        }
        1 => {
            limits.licence = Some("mit");
            (*chance.pick(&["MIT license", "mit licensed"])).into()
        }
        2 => {
            limits.for_sale = true;
            (*chance.pick(&[
                "commercial use allowed",
                "for commercial use",
                "permissive license",
                "not non-commercial",
            ]))
            .into()
        }
        3 => {
            let (most, text) = if large {
                *chance.pick(&[
                    (1_000_000_000, "under 1B parameters"),
                    (4_000_000_000, "less than 4B"),
                    (8_500_000_000, "at most 8.5b params"),
                ])
            } else {
                *chance.pick(&[
                    (100_000_000, "under 100M parameters"),
                    (150_000_000, "<150M"),
                    (50_000_000, "up to 50 million parameters"),
                ])
            };
            limits.most = Some(most);
            text.into()
        }
        4 => {
            let (least, text) = if large {
                (10_000_000_000, "over 10B")
            } else {
                (200_000_000, "more than 200M parameters")
            };
            limits.least = Some(least);
            text.into()
        }
        5 => {
            limits.quantised = Some(true);
            (*chance.pick(&["quantized", "quantised", "in 4 or 8 bit, quantized"])).into()
        }
        6 => {
            let (library, text) = *chance.pick(&[
                ("gguf", "gguf"),
                ("onnx", "onnx"),
                ("transformers", "for transformers"),
                ("sentence-transformers", "sentence-transformers"),
            ]);
            limits.library = Some(library);
            text.into()
        }
        _ => {
            let family = *chance.pick(job.families);
            limits.not_family = Some(family);
            let name = family.split('-').next().unwrap_or_default();
            format!(
                "{} {name}",
                chance.pick(&["not", "without", "excluding", "but no"])
            )
        }
    }
}

fn constraint(chance: &mut Chance) -> Made {
    let job = loop {
        let job = chance.pick(&JOBS);
        if job.key != "translate" {
            break job;
        }
    };
    let mut limits = Limits::default();
    let ask = chance.word(job.asks);
    let mut text = ask.to_owned();
    let spoken = language(job, chance, 0.25);
    if let Some((_, name)) = spoken {
        text.push_str(&format!(" {name}"));
    }
    for number in 0..1 + chance.below(2) {
        text.push_str(if number == 0 { " " } else { ", " });
        text.push_str(&limit(job, &mut limits, chance));
    }
    (
        text,
        ask.to_owned(),
        Wish::Job {
            job,
            language: spoken.map(|(code, _)| code),
            pair: None,
            limits,
            first: First::Good,
        },
    )
}

fn comparative(chance: &mut Chance) -> Made {
    let job = loop {
        let job = chance.pick(&JOBS);
        if job.key != "translate" {
            break job;
        }
    };
    let ask = *chance.pick(job.asks);
    let spoken = language(job, chance, 0.3);
    let place = spoken.map_or(String::new(), |(_, name)| format!(" for {name}"));
    let dataset = chance.pick(job.measured).0;
    let (text, first) = match chance.below(6) {
        0 => (format!("best {ask} model{place}"), First::Best),
        1 => (format!("most accurate {ask}{place}"), First::Best),
        2 => (format!("state of the art {ask}{place}"), First::Best),
        3 => (
            format!("which {ask} model scores highest on {dataset}{place}?"),
            First::Best,
        ),
        4 => (format!("top {ask}{place} by {dataset}"), First::Best),
        _ => (format!("smallest {ask}{place}"), First::Smallest),
    };
    (
        text,
        ask.to_owned(),
        Wish::Job {
            job,
            language: spoken.map(|(code, _)| code),
            pair: None,
            limits: Limits::default(),
            first,
        },
    )
}

/// Two letters swapped, one left out, or one doubled, in a word of five letters or more.
fn misspelt(text: &str, chance: &mut Chance) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let long: Vec<usize> = (0..words.len())
        .filter(|at| words[*at].len() >= 5 && words[*at].is_ascii())
        .collect();
    if long.is_empty() {
        return text.to_owned();
    }
    let chosen = *chance.pick(&long);
    let mut letters: Vec<char> = words[chosen].chars().collect();
    let at = 1 + chance.below(letters.len() - 2);
    match chance.below(3) {
        0 => letters.swap(at, at + 1),
        1 => _ = letters.remove(at),
        _ => letters.insert(at, letters[at]),
    }
    let wrong: String = letters.into_iter().collect();
    words
        .iter()
        .enumerate()
        .map(|(at, word)| if at == chosen { wrong.as_str() } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

fn sloppy(world: &World, chance: &mut Chance) -> Made {
    match chance.below(3) {
        0 => {
            let job = chance.pick(&JOBS);
            let ask = chance.word(job.slang);
            (ask.to_owned(), ask.to_owned(), plain(job))
        }
        1 => {
            let (text, core, wish) = item(world, chance);
            (misspelt(&text.replace('-', " "), chance), core, wish)
        }
        _ => {
            let (text, core, wish) = task(chance);
            (misspelt(&text, chance), core, wish)
        }
    }
}

fn need(chance: &mut Chance) -> Made {
    let job = loop {
        let job = chance.pick(&JOBS);
        if job.key != "translate" {
            break job;
        }
    };
    let ask = chance.word(job.needs);
    let mut text = ask.to_owned();
    let mut limits = Limits::default();
    let spoken = language(job, chance, 0.3);
    if let Some((_, name)) = spoken {
        text.push_str(
            &chance
                .pick(&[", in %L", ", our texts are %L", " (%L)"])
                .replace("%L", name),
        );
    }
    match chance.below(6) {
        0 => {
            limits.for_sale = true;
            text.push_str(chance.word(&[
                ", and we want to sell it so the license must allow commercial use",
                ", license must be permissive",
            ]));
        }
        1 => {
            limits.small = true;
            text.push_str(chance.word(&[
                ", it has to run on a laptop",
                ", small enough for a phone",
                ", without a big GPU, should be lightweight",
            ]));
        }
        _ => {}
    }
    (
        text,
        ask.to_owned(),
        Wish::Job {
            job,
            language: spoken.map(|(code, _)| code),
            pair: None,
            limits,
            first: First::Good,
        },
    )
}

/// How well each model serves a wish: 0 not, 1 a little, 2 well, 3 as well as any.
pub fn grades(world: &World, wish: &Wish) -> Vec<u8> {
    match wish {
        Wish::Item(target) => world
            .models
            .iter()
            .enumerate()
            .map(|(at, model)| item_grade(world, *target, at, model))
            .collect(),
        Wish::Job { job, first, .. } => {
            let serving: Vec<u8> = world
                .models
                .iter()
                .map(|model| job_grade(wish, model))
                .collect();
            match first {
                First::Good => serving,
                First::Best => ranked(world, job, &serving, |model| model.quality),
                First::Smallest => ranked(world, job, &serving, |model| -(model.parameters as f64)),
            }
        }
    }
}

fn squash(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect::<String>()
        .to_lowercase()
}

fn item_grade(world: &World, target: usize, at: usize, model: &Model) -> u8 {
    let name = |model: &Model| squash(model.id.split('/').next_back().unwrap_or_default());
    match model.nature {
        _ if at == target => 3,
        Nature::Own if name(model) == name(&world.models[target]) => 2,
        Nature::Copy | Nature::Quantised if model.source == Some(target) => 1,
        _ => 0,
    }
}

fn job_grade(wish: &Wish, model: &Model) -> u8 {
    let Wish::Job {
        job,
        language,
        pair,
        limits,
        ..
    } = wish
    else {
        return 0;
    };
    let by_quality = match model.quality {
        q if q >= 0.66 => 3,
        q if q >= 0.40 => 2,
        _ => 1,
    };
    let mut grade: u8 = if model.job.key == job.key {
        by_quality
    } else if job.near == model.job.key {
        u8::from(model.quality >= 0.5)
    } else {
        0
    };
    let many = model.languages.len() > 4;
    let speaks = |code: &str| model.languages.contains(&code);
    match (language, pair) {
        (Some(code), _) if !speaks(code) => return 0,
        (Some(_), _) if many => grade = grade.saturating_sub(1),
        (None, Some((from, to))) => match model.pair {
            Some(held) if held == (*from, *to) => {}
            Some(_) => return 0,
            None if many => grade = grade.saturating_sub(1),
            None => return 0,
        },
        (None, None) if job.spoken && !model.languages.is_empty() && !speaks("en") => {
            grade = grade.min(1)
        }
        _ => {}
    }
    if !keeps(limits, model) {
        return 0;
    }
    match model.nature {
        Nature::Own => grade,
        Nature::Quantised if limits.quantised == Some(true) || limits.library.is_some() => grade,
        Nature::Quantised => grade.saturating_sub(1),
        Nature::Copy => grade.saturating_sub(2),
        Nature::Spam => 0,
    }
}

fn keeps(limits: &Limits, model: &Model) -> bool {
    let sellable = [
        "apache-2.0",
        "mit",
        "bsd-3-clause",
        "cc-by-4.0",
        "gpl-3.0",
        "agpl-3.0",
        "openrail",
    ];
    limits
        .licence
        .is_none_or(|licence| model.licence == licence)
        && (!limits.for_sale || sellable.contains(&model.licence.as_str()))
        && limits.most.is_none_or(|most| model.parameters <= most)
        && limits.least.is_none_or(|least| model.parameters >= least)
        && limits
            .quantised
            .is_none_or(|quantised| model.quantised == quantised)
        && limits
            .library
            .is_none_or(|library| model.library == library)
        && limits
            .not_family
            .is_none_or(|family| model.family != family)
        && (!limits.small || model.parameters <= 400_000_000)
}

/// Of those that serve, the first tenth gets 3, the next fifth 2, the others 1.
fn ranked(world: &World, job: &Job, serving: &[u8], value: impl Fn(&Model) -> f64) -> Vec<u8> {
    // Who only half serves is not compared.
    let mut order: Vec<usize> = (0..serving.len())
        .filter(|at| {
            serving[*at] > 0
                && world.models[*at].job.key == job.key
                && world.models[*at].nature != Nature::Copy
        })
        .collect();
    order.sort_by(|a, b| value(&world.models[*b]).total_cmp(&value(&world.models[*a])));
    let mut grades = vec![0; serving.len()];
    let count = order.len();
    for (place, at) in order.into_iter().enumerate() {
        grades[at] = if place < count.div_ceil(10) {
            3
        } else if place < (count * 3).div_ceil(10) {
            2
        } else {
            1
        };
    }
    grades
}
