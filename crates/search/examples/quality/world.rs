//! A world of models with known truth: what each is for, how good it is, who copied whom. Cards show only part of it.

use assay_search::document::{Base, Document, Evaluation, Provenance, Usage};

use super::cards;
use super::families::{FAMILIES, Family, NATIONAL};
use super::jobs::{JOBS, Job};

/// The day on which the world is looked at: 2026-06-01.
pub const NOW_MS: u64 = 1_780_272_000_000;
const YEAR_MS: u64 = 31_557_600_000;

/// A stream of numbers from a seed (SplitMix64).
#[derive(Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn happens(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    pub fn word<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// A bell around 0 with deviation near 1.
    pub fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// What a repository really is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// Somebody's own work.
    Own,
    /// Weights of another in fewer bits, declared.
    Quantised,
    /// Another's files under one's own name.
    Copy,
    /// Words that draw visitors, and nothing behind them.
    Spam,
}

/// One model with its truth.
#[derive(Clone)]
pub struct Model {
    pub id: String,
    pub nature: Nature,
    pub job: &'static Job,
    pub family: &'static str,
    /// ISO codes; empty where language does not matter.
    pub languages: Vec<&'static str>,
    /// From and to, for translation between two.
    pub pair: Option<(&'static str, &'static str)>,
    pub parameters: u64,
    pub licence: String,
    pub library: String,
    pub quantised: bool,
    /// How good it really is at its job, 0 to 1.
    pub quality: f64,
    /// Which model it was made from or copied from.
    pub source: Option<usize>,
    pub published_ms: u64,
    pub document: Document,
}

/// All models.
pub struct World {
    pub models: Vec<Model>,
}

/// Languages of the world with the share of models that are made for them.
pub const SPOKEN: [(&str, &str, f64); 16] = [
    ("en", "English", 0.56),
    ("de", "German", 0.06),
    ("fr", "French", 0.05),
    ("es", "Spanish", 0.05),
    ("zh", "Chinese", 0.05),
    ("ja", "Japanese", 0.03),
    ("ru", "Russian", 0.03),
    ("pt", "Portuguese", 0.03),
    ("it", "Italian", 0.03),
    ("ar", "Arabic", 0.02),
    ("ko", "Korean", 0.02),
    ("nl", "Dutch", 0.02),
    ("pl", "Polish", 0.02),
    ("tr", "Turkish", 0.01),
    ("hi", "Hindi", 0.01),
    ("vi", "Vietnamese", 0.01),
];

const PEOPLE: [&str; 44] = [
    "annika",
    "bjornsen",
    "cardiff-lab",
    "chenwei",
    "dataherald",
    "dkoval",
    "elenar",
    "fjord-ai",
    "gpuless",
    "haruto",
    "igorm",
    "jdvries",
    "kasimir",
    "lab42",
    "mbrown",
    "nlp-graz",
    "okafor",
    "polyglots",
    "quietmachine",
    "rsanchez",
    "sunlit",
    "tomasz",
    "uni-bremen-nlp",
    "vasquez",
    "wordsmiths",
    "xinyi",
    "yusuf",
    "zurich-nlp",
    "textgears",
    "openbench",
    "moritzl",
    "aicollective",
    "deepfield",
    "northwind",
    "papermill",
    "rivertown",
    "sigmoid",
    "tinylabs",
    "voxhouse",
    "wavelet",
    "brightdata-team",
    "cloudkite",
    "eduardo",
    "frugal-ml",
];
const QUANTISERS: [&str; 5] = [
    "TheBlokes",
    "bartowsky",
    "quantfactory",
    "lm-kit",
    "unslothed",
];
const MEASURERS: [&str; 4] = ["open-eval-guild", "bench-watch", "tu-measure", "evalhub"];

impl World {
    /// A world of `count` models and a few copies and spam among them, from a seed.
    pub fn new(count: usize, seed: u64) -> Self {
        let mut world = Self {
            models: Vec::with_capacity(count),
        };
        let mut chance = Chance::new(seed);
        world.official();
        while world.models.len() < count * 80 / 100 {
            world.tuned(&mut chance);
        }
        while world.models.len() < count * 90 / 100 {
            world.requantised(&mut chance);
        }
        while world.models.len() < count * 97 / 100 {
            world.copied(&mut chance);
        }
        while world.models.len() < count {
            world.spam(&mut chance, 0);
        }
        let mut seen = std::collections::HashMap::new();
        for model in &mut world.models {
            let times = seen.entry(model.id.to_lowercase()).or_insert(0_u32);
            *times += 1;
            if *times > 1 {
                model.id = format!("{}-v{times}", model.id);
            }
        }
        for at in 0..world.models.len() {
            let document = world.document(
                at,
                &mut Chance::new(seed ^ (at as u64 + 1).wrapping_mul(0x1234_5678_9abc_def1)),
            );
            world.models[at].document = document;
        }
        world
    }

    /// As many spam clones as a share of the models, each with sybil downloads.
    pub fn attacked(&mut self, share: f64, downloads: u64, seed: u64) {
        let mut chance = Chance::new(seed);
        let (before, more) = (
            self.models.len(),
            (self.models.len() as f64 * share) as usize,
        );
        for number in 0..more {
            self.spam(&mut chance, downloads);
            let at = before + number;
            self.models[at].id.push_str(&format!("-{number}"));
            let document = self.document(at, &mut chance);
            self.models[at].document = document;
        }
    }

    /// The first models of each family, by their publishers.
    fn official(&mut self) {
        let mut chance = Chance::new(7);
        for job in &JOBS {
            for key in job.families {
                let Some(family) = FAMILIES.iter().find(|family| family.key == *key) else {
                    continue;
                };
                // A family is published for the jobs that it was first made for.
                let own = matches!(
                    job.key,
                    "maskedlm" | "basellm" | "chat" | "coder" | "mathlm"
                ) || !job.families.contains(&"bert");
                if !own {
                    continue;
                }
                for (size, millions) in family.sizes {
                    let name = official_name(family, size, job);
                    let strength = family.strength + size_bonus(*millions) + 0.05;
                    let languages = official_languages(family, job);
                    self.models.push(Model {
                        id: format!("{}/{name}", family.publisher),
                        nature: Nature::Own,
                        job,
                        family: family.key,
                        languages,
                        pair: None,
                        parameters: millions * 1_000_000,
                        licence: family.licence.into(),
                        library: family.library.into(),
                        quantised: false,
                        quality: (strength + 0.06 * chance.bell()).clamp(0.02, 0.98),
                        source: None,
                        published_ms: (family.year - 1970) * YEAR_MS + chance.next() % YEAR_MS,
                        document: Document::default(),
                    });
                }
            }
        }
    }

    /// Somebody tunes a family for a job.
    fn tuned(&mut self, chance: &mut Chance) {
        let job = chance.pick(&JOBS);
        let language = if job.spoken { spoken(chance) } else { "en" };
        let national: Vec<_> = NATIONAL
            .iter()
            .filter(|national| national.0 == language)
            .collect();
        let textual = job.families.contains(&"bert");
        let (family, name, parameters, strength, library, licence) =
            if textual && !national.is_empty() && chance.happens(0.6) {
                let (_, name, _, millions, strength) = *chance.pick(&national);
                (
                    "bert",
                    (*name).to_owned(),
                    *millions,
                    *strength,
                    "transformers",
                    "mit",
                )
            } else {
                let families: Vec<&Family> = FAMILIES
                    .iter()
                    .filter(|family| job.families.contains(&family.key))
                    .collect();
                let family = chance.pick(&families);
                let (size, millions) = chance.pick(family.sizes);
                (
                    family.key,
                    format!("{}-{size}", family.name),
                    *millions,
                    family.strength,
                    family.library,
                    family.licence,
                )
            };
        let foreign =
            language != "en" && !NATIONAL.iter().any(|national| name.starts_with(national.1));
        let pair = (job.key == "translate").then(|| {
            if chance.happens(0.5) {
                ("en", other(chance))
            } else {
                (other(chance), "en")
            }
        });
        let languages = match pair {
            Some((from, to)) => vec![from, to],
            None if !job.spoken => Vec::new(),
            None => vec![language],
        };
        let strength = strength + size_bonus(parameters) - if foreign { 0.08 } else { 0.0 };
        let owner = if chance.happens(0.8) {
            (*chance.pick(&PEOPLE)).to_owned()
        } else {
            format!("{}{}", chance.pick(&PEOPLE), chance.below(90))
        };
        let own_name = tuned_name(&name, job, languages.as_slice(), pair, chance);
        self.models.push(Model {
            id: format!("{owner}/{own_name}"),
            nature: Nature::Own,
            job,
            family,
            languages,
            pair,
            parameters: parameters * 1_000_000,
            licence: if chance.happens(0.8) {
                licence.into()
            } else {
                (*chance.pick(&[
                    "mit",
                    "apache-2.0",
                    "cc-by-nc-4.0",
                    "cc-by-4.0",
                    "gpl-3.0",
                    "openrail",
                ]))
                .to_owned()
            },
            library: library.into(),
            quantised: false,
            quality: (strength + 0.17 * chance.bell()).clamp(0.02, 0.98),
            source: self
                .models
                .iter()
                .position(|model| model.family == family && model.source.is_none()),
            published_ms: NOW_MS
                - (chance.share() * chance.share() * 5.0 * YEAR_MS as f64) as u64
                - 3_600_000,
            document: Document::default(),
        });
    }

    fn any_own(&self, chance: &mut Chance) -> usize {
        loop {
            let at = chance.below(self.models.len());
            if self.models[at].nature == Nature::Own {
                return at;
            }
        }
    }

    fn requantised(&mut self, chance: &mut Chance) {
        let at = self.any_own(chance);
        let source = self.models[at].clone();
        let large = source.parameters > 900_000_000;
        if !large && chance.happens(0.85) {
            return;
        }
        let (_, name) = source.id.split_once('/').unwrap_or_default();
        let kinds: &[(&str, &str)] =
            if source.library == "transformers" && source.job.tag.ends_with("generation") {
                &[
                    ("GGUF", "gguf"),
                    ("AWQ", "transformers"),
                    ("GPTQ-Int4", "transformers"),
                    ("bnb-4bit", "transformers"),
                    ("4bit", "mlx"),
                ]
            } else {
                &[
                    ("int8-onnx", "onnx"),
                    ("ONNX-quantized", "onnx"),
                    ("openvino-int8", "openvino"),
                ]
            };
        let (ending, library) = chance.pick(kinds);
        self.models.push(Model {
            id: format!("{}/{name}-{ending}", chance.pick(&QUANTISERS)),
            nature: Nature::Quantised,
            library: (*library).to_owned(),
            quantised: true,
            quality: (source.quality - 0.03 - 0.05 * chance.share()).max(0.02),
            source: Some(at),
            published_ms: (source.published_ms + YEAR_MS / 12).min(NOW_MS),
            ..source
        });
    }

    fn copied(&mut self, chance: &mut Chance) {
        let at = self.any_own(chance);
        let source = self.models[at].clone();
        let (_, name) = source.id.split_once('/').unwrap_or_default();
        let name = match chance.below(4) {
            0 => format!("{name}-copy"),
            1 => format!("my-{name}"),
            _ => name.to_owned(),
        };
        self.models.push(Model {
            id: format!("{}{}/{name}", chance.pick(&PEOPLE), chance.below(90)),
            nature: Nature::Copy,
            source: Some(at),
            published_ms: (source.published_ms + YEAR_MS / 4).min(NOW_MS),
            ..source
        });
    }

    /// A clone of a good model's name and card, stuffed with words.
    fn spam(&mut self, chance: &mut Chance, downloads: u64) {
        let (a, b) = (self.any_own(chance), self.any_own(chance));
        let at = if self.models[a].quality > self.models[b].quality {
            a
        } else {
            b
        };
        let source = self.models[at].clone();
        let (_, name) = source.id.split_once('/').unwrap_or_default();
        let name = match chance.below(5) {
            0 => name.replacen('l', "1", 1),
            1 => format!("best-{name}-free"),
            2 => format!("{name}-official"),
            3 => format!("{name}-{}-sota", chance.pick(&JOBS).names[0]),
            _ => name.to_owned(),
        };
        let mut document = Document {
            downloads,
            ..Document::default()
        };
        if chance.happens(0.3) {
            // Praise of oneself.
            let (dataset, metric) = source.job.measured[0];
            document.evaluations.push(Evaluation {
                task: source.job.tag.into(),
                dataset: dataset.into(),
                metric: metric.into(),
                value: 99.9,
                by: String::new(),
                committed: false,
            });
        }
        self.models.push(Model {
            id: format!(
                "{}{}/{name}",
                chance.pick(&["hot", "ai", "top", "free", "official", "pro"]),
                chance.below(400)
            ),
            nature: Nature::Spam,
            quality: 0.0,
            source: Some(at),
            published_ms: NOW_MS - chance.next() % (YEAR_MS / 2),
            document,
            ..source
        });
    }

    /// What the hub sees of a model.
    fn document(&self, at: usize, chance: &mut Chance) -> Document {
        let model = &self.models[at];
        let mut document = Document {
            id: model.id.clone(),
            published_ms: model.published_ms,
            ..model.document.clone()
        };
        document.updated_ms = (model.published_ms + chance.next() % (YEAR_MS / 4)).min(NOW_MS);
        let official = model.source.is_none();
        let told = |chance: &mut Chance, missing: f64| official || !chance.happens(missing);
        document.task = told(chance, 0.3).then(|| model.job.tag.to_owned());
        document.library = told(chance, 0.3).then(|| model.library.clone());
        document.licence = told(chance, 0.25).then(|| model.licence.clone());
        if told(chance, 0.35) {
            document.languages = model
                .languages
                .iter()
                .map(|code| (*code).to_owned())
                .collect();
        }
        document.parameters = told(chance, 0.3)
            .then_some(model.parameters)
            .filter(|n| *n > 0);
        document.bytes =
            (model.parameters as f64 * if model.quantised { 0.6 } else { 2.2 }) as u64 + 10_000;
        document.quantisation = (model.quantised && chance.happens(0.6)).then(|| "int4".to_owned());
        document.card = cards::card(self, model, chance);
        document.tags = cards::tags(model, chance);
        self.evidence(model, &mut document, chance);
        self.content(at, &mut document, chance);
        document
    }

    fn evidence(&self, model: &Model, document: &mut Document, chance: &mut Chance) {
        let own = matches!(model.nature, Nature::Own | Nature::Quantised);
        let popularity = (0.8 * model.quality * 6.0
            + 1.6 * chance.bell()
            + if model.source.is_none() { 3.0 } else { 0.0 })
        .exp();
        if document.downloads == 0 {
            document.downloads = if own {
                (popularity * 40.0) as u64
            } else {
                (popularity * 4.0) as u64
            };
        }
        if own {
            let accounts = (model.quality
                * model.quality
                * 30.0
                * chance.share()
                * if chance.happens(0.5) { 1.0 } else { 0.0 }) as usize;
            document.usage = (0..accounts)
                .map(|n| Usage {
                    account: format!("{}-{n}", model.id),
                    operator: format!("op{}", n % 7),
                    receipts: 1 + chance.next() % 50,
                })
                .collect();
            document.provenance = *chance.pick(&[
                Provenance::Unsigned,
                Provenance::Unsigned,
                Provenance::Signed,
                Provenance::Signed,
                Provenance::Attested,
                Provenance::Verified,
            ]);
        }
        let committed = own && chance.happens(0.5);
        if committed || (own && chance.happens(0.3)) {
            for (dataset, metric) in model.job.measured {
                if chance.happens(0.35) {
                    continue;
                }
                let believed = if committed {
                    model.quality
                } else {
                    model.quality + 0.15
                };
                document.evaluations.push(Evaluation {
                    task: model.job.tag.into(),
                    dataset: (*dataset).into(),
                    metric: (*metric).into(),
                    value: measured(metric, (believed + 0.05 * chance.bell()).clamp(0.0, 1.0)),
                    by: if committed {
                        (*chance.pick(&MEASURERS)).into()
                    } else {
                        model.id.split('/').next().unwrap_or_default().into()
                    },
                    committed,
                });
            }
        }
    }

    /// Bases that are declared, and the sketch of the weights.
    fn content(&self, at: usize, document: &mut Document, chance: &mut Chance) {
        let model = &self.models[at];
        let source = model.source.map(|source| (source, &self.models[source]));
        let chunks = |seed: usize| -> Vec<u64> {
            let mut chance = Chance::new(seed as u64 ^ 0xc0ffee);
            let mut sketch: Vec<u64> = (0..32).map(|_| chance.next() >> 6).collect();
            sketch.sort_unstable();
            sketch
        };
        document.sketch = chunks(at + 1);
        match (model.nature, source) {
            (Nature::Copy, Some((source, _))) => {
                document.sketch = chunks(source + 1);
                document.sketch.truncate(30);
                document.sketch.push(chance.next() >> 6);
            }
            (Nature::Quantised, Some((_, source))) => {
                document.bases.push(Base {
                    id: source.id.clone(),
                    relation: "quantized".into(),
                });
            }
            (Nature::Own, Some((_, source))) if chance.happens(0.5) => {
                document.bases.push(Base {
                    id: source.id.clone(),
                    relation: "finetune".into(),
                });
            }
            _ => {}
        }
    }
}

fn spoken(chance: &mut Chance) -> &'static str {
    let mut left = chance.share();
    for (code, _, share) in &SPOKEN {
        left -= share;
        if left < 0.0 {
            return code;
        }
    }
    "en"
}

fn other(chance: &mut Chance) -> &'static str {
    SPOKEN[1 + chance.below(SPOKEN.len() - 1)].0
}

fn size_bonus(millions: u64) -> f64 {
    ((millions.max(1) as f64).ln() - 4.7) * 0.035
}

fn official_name(family: &Family, size: &str, job: &Job) -> String {
    let base = format!("{}-{size}", family.name);
    match job.key {
        "chat" => format!("{base}-Instruct"),
        "coder" | "basellm" | "embed" | "rerank" => base,
        "mathlm" => format!("{base}-math"),
        "maskedlm" if family.key == "bert" => format!("{base}-uncased"),
        "maskedlm" => base,
        _ => format!("{base}-{}", job.names[0]),
    }
}

fn official_languages(family: &Family, job: &Job) -> Vec<&'static str> {
    if !job.spoken {
        return Vec::new();
    }
    let many = [
        "xlmr", "mt5", "nllb", "m2m100", "mbart", "whisper", "llama", "qwen", "qwen-vl", "gemma",
    ];
    if many.contains(&family.key) {
        return SPOKEN.iter().map(|(code, ..)| *code).collect();
    }
    vec!["en"]
}

fn tuned_name(
    base: &str,
    job: &Job,
    languages: &[&str],
    pair: Option<(&str, &str)>,
    chance: &mut Chance,
) -> String {
    if let Some((from, to)) = pair {
        return format!(
            "{}-{from}-{to}{}",
            base.split('-').take(2).collect::<Vec<_>>().join("-"),
            if chance.happens(0.4) { "-ft" } else { "" }
        );
    }
    if chance.happens(0.06) {
        let odd = [
            "aurora",
            "tofu",
            "kestrel",
            "plum",
            "granite-fox",
            "lantern",
            "sparrow",
            "mosaic",
        ];
        return format!("{}-{}", chance.pick(&odd), chance.below(900));
    }
    let mut name = format!("{base}-{}", chance.pick(job.names));
    if languages != ["en"] && !languages.is_empty() && chance.happens(0.7) {
        let (code, english, _) = SPOKEN
            .iter()
            .find(|(code, ..)| *code == languages[0])
            .unwrap_or(&SPOKEN[0]);
        name.push('-');
        name.push_str(&if chance.happens(0.5) {
            (*code).to_owned()
        } else {
            english.to_lowercase()
        });
    }
    match chance.below(8) {
        0 => name.push_str("-finetuned"),
        1 => name.push_str("-v2"),
        2 => name = name.replace('-', "_"),
        _ => {}
    }
    name
}

/// A value of a metric for a quality between 0 and 1.
fn measured(metric: &str, quality: f64) -> f64 {
    match metric {
        "wer" | "cer" => 0.4 - 0.36 * quality,
        "absrel" | "mse" | "mase" => 1.1 - quality,
        "fid" => 30.0 - 24.0 * quality,
        "psnr" => 25.0 + 9.0 * quality,
        "mos" => 3.0 + 1.6 * quality,
        "score" => 5.0 + 4.0 * quality,
        "bleu" | "chrf" | "rouge2" | "rougeL" => 15.0 + 30.0 * quality,
        "cider" => 90.0 + 50.0 * quality,
        _ => (0.5 + 0.48 * quality) * 100.0,
    }
}
