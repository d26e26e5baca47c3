//! What the ranker knows of the field: tasks, domains, languages, licences, libraries, and the words that people use
//! for them.
//!
//! The tables are general knowledge, written down by hand. The retrieval benchmark's generator has tables of its own
//! and neither reads the other's, so that the benchmark does not measure that the two agree.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use crate::text;

/// A task, a narrower task, or a domain: something a model can be *for*. The number is its line in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Concept(u8);

/// A language, by its line in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(u8);

/// Tasks by the names that cards use, what is narrower than them, and domains: `name < broader | phrases`.
const CONCEPTS: &str = "\
text-generation | language model | llm | chat | chatbot | chat bot | conversational | assistant | instruct | instruction following | causal lm | gpt | story writing | dialogue | dialog | rewrite text | write text | creative writing | roleplay | text completion
text-classification | classify text | text classifier | document classification | sequence classification | categorize text | topic classification | label text | sort text | classify document | classify email | categorise
sentiment < text-classification | sentiment | sentiment analysis | opinion mining | polarity | positive or negative | review rating | customer opinion | angry customer | happy or unhappy | review classification | product review | movie review
emotion < text-classification | emotion | emotion recognition | emotional | feeling | mood
toxicity < text-classification | toxic | toxicity | hate speech | offensive | abusive | moderation | content moderation | abuse | profanity | insult | harassment | bullying | nsfw text
spam < text-classification | spam | phishing | junk mail | sms spam
inference < text-classification | nli | natural language inference | entailment | contradiction | textual entailment | mnli
intent < text-classification | intent | intent detection | intent classification | banking77
langid < text-classification | language identification | language detection | detect language | which language | langid
zero-shot-classification | zero shot classification | zero shot | without training data | arbitrary labels | without labels
token-classification | token classification | sequence labeling | sequence tagging | tagging words
ner < token-classification | ner | named entity | named entities | named entity recognition | entity extraction | extract entities | names of people | person names | conll | entity recognition | people places organization
pos < token-classification | pos tagging | part of speech | pos tagger | grammatical tag
pii < token-classification | pii | personal data | personally identifiable | anonymize | anonymisation | anonymization | redact | redaction | deidentification | de identification
question-answering | question answering | qa | extractive qa | squad | answer question | reading comprehension | answer questions about
table-question-answering | table question answering | table qa | ask a table | spreadsheet question | wikitablequestions | tapas
document-question-answering | document question answering | docvqa | document qa | invoice | receipt extraction | form understanding | layout | scanned document
summarization | summarization | summarize | summary | tldr | abstractive summary | condense | shorten text | gist | headline generation | cnn dailymail | xsum
translation | translation | translate | machine translation | nmt | mt | wmt | opus mt | translator
fill-mask | fill mask | masked language model | mlm | masked lm | missing word | fill in the blank | cloze
sentence-similarity | sentence similarity | sentence embedding | text embedding | semantic similarity | semantic search | sts | embedding | embeddings | sentence transformer | vector search | paraphrase detection | retrieval | rag | dense retrieval | bi encoder | similar sentences | similar text | duplicate questions | vector representation
feature-extraction < sentence-similarity | feature extraction | feature vector
text-ranking | reranker | reranking | re rank | rerank | cross encoder | passage ranking | text ranking | ms marco | relevance scoring | reorder search results
code | code | coder | coding | programming | code generation | code completion | source code | python code | software | programmer | autocomplete code | sql | text to sql | developer | humaneval
math | math | mathematics | mathematical | gsm8k | arithmetic | equation | word problem
reasoning < text-generation | reasoning | chain of thought | thinking
automatic-speech-recognition | automatic speech recognition | asr | speech recognition | speech to text | stt | transcribe | transcription | dictation | subtitle | speech2text | voice to text | librispeech | transcript
text-to-speech | text to speech | tts | speech synthesis | read aloud | voice synthesis | voice generation | speak text | voice cloning | narrate | natural voice
audio-classification | audio classification | sound classification | sound event | classify sound | audio tagging | environmental sound | keyword spotting | music genre | speech command | wake word
speaker < audio-classification | speaker verification | speaker identification | speaker recognition | who is speaking | voxceleb
diarization | diarization | who spoke when | speaker segmentation
voice-activity-detection | voice activity detection | vad | detect speech | silence detection
audio-to-audio | audio to audio | speech enhancement | noise suppression | denoise audio | source separation | noise removal | voice conversion | separate vocals | background noise
text-to-audio | text to audio | music generation | text to music | generate music | sound effect | compose music | musicgen
image-classification | image classification | image classifier | classify image | classify photo | recognize image | imagenet | picture classification | image recognition | visual recognition | photo categorization
object-detection | object detection | detect object | bounding box | yolo | detr | object detector | localize object | count object | find objects | pedestrian
image-segmentation | image segmentation | semantic segmentation | instance segmentation | panoptic | pixel wise | background removal | segment image | matting | remove background | cutout | cityscapes | ade20k
mask-generation < image-segmentation | mask generation | segment anything | promptable segmentation | sam
depth-estimation | depth estimation | monocular depth | depth map | distance from image | depth
keypoint-detection | pose estimation | keypoint | human pose | body pose | landmark | skeleton tracking
image-to-text | image to text | image captioning | caption | describe image | captioning | describe picture | image description | alt text | describe photo
ocr < image-to-text | ocr | optical character recognition | read text from image | handwriting | handwritten text | text recognition | handwriting recognition | extract text from image | scan to text
image-text-to-text | image text to text | vision language | vlm | multimodal | multimodal chat | image chat | llava | visual assistant | visual instruction
visual-question-answering < image-text-to-text | visual question answering | vqa | question about image | question about picture | ask about photo
text-to-image | text to image | image generation | generate image | stable diffusion | diffusion | txt2img | generate art | draw picture | illustration | create image | text2image | picture from text | photorealistic | generate picture
image-to-image | image to image | super resolution | upscale | upscaling | image restoration | style transfer | inpainting | denoise image | colorize | img2img | image enhancement | sharpen | deblur | enlarge photo | old photo
text-to-video | text to video | video generation | generate video | text2video | movie from text
video-classification | video classification | action recognition | activity recognition | kinetics | classify video
zero-shot-image-classification | zero shot image classification | clip | image text matching | image retrieval | image search | search photo
image-feature-extraction | image embedding | image feature extraction | visual features | image features | image similarity | dinov2
tabular-classification | tabular classification | tabular | table data | structured data | xgboost | gradient boosting | churn | credit scoring | fraud detection | fraud
tabular-regression | tabular regression | regression | price prediction | predict price | predict number | house price
time-series-forecasting | time series | time series forecasting | forecasting | forecast | demand prediction | predict future value | future values | temporal prediction | anomaly detection time series
reinforcement-learning | reinforcement learning | rl | ppo | dqn | atari | gym | policy gradient | game playing | play game | agent policy
robotics | robotics | robot | manipulation policy | robot arm
protein | protein | amino acid | protein folding | protein structure | esm
chemistry | chemistry | molecule | molecular | chemical | smiles | drug discovery
dna | genomics | dna | genome | rna | nucleotide
medical | medical | biomedical | clinical | health | medicine | patient | hospital | doctor | disease | pubmed | biology | healthcare | radiology | diagnosis | x ray | xray | mri
legal | legal | law | court | contract | lawyer | legislation | judicial | statute
finance | finance | financial | stock | bank | banking | earnings | market news | investor | trading | sec filing | economic
science | scientific | scholarly | academic | research paper | citation | arxiv | science
social | social media | tweet | twitter | reddit | social network | post
news | news | newspaper | journalism | headline
satellite | satellite | remote sensing | aerial | earth observation | land use | land cover | geospatial
face | face | facial | portrait | selfie
agriculture | agriculture | crop | plant disease | plant | leaf | farm | farming
driving | autonomous driving | self driving | driving | traffic | road | vehicle | street scene | traffic sign
anime | anime | manga | cartoon
retail | ecommerce | e commerce | shopping | shop | retail | amazon review | fashion
food | food | dish | meal | recipe
";

/// ISO code, English name, its own names and the names of its speakers.
const LANGUAGES: &str = "\
en | english | anglais | englisch
de | german | deutsch | deutsche | deutschen | deutsches | allemand | germany
fr | french | francais | francaise | franzosisch | france
es | spanish | espanol | espanola | castellano | castilian | spanisch | espagnol
it | italian | italiano | italiana | italienisch
pt | portuguese | portugues | portuguesa | brazilian | brazil
nl | dutch | nederlands | nederlandse | flemish
pl | polish | polski | polska | polskie
cs | czech | cesky | cestina
sk | slovak | slovensky | slovencina
ru | russian | русский | русского | русском | русскии | russkiy
uk | ukrainian | украинська | украінська
bg | bulgarian | български
sr | serbian | srpski
hr | croatian | hrvatski
sl | slovenian | slovene | slovenscina
ro | romanian | romana
hu | hungarian | magyar
el | greek | ελληνικα
tr | turkish | turkce
ar | arabic | العربية | العربيه
fa | persian | farsi | فارسی
he | hebrew | עברית
ur | urdu | اردو
hi | hindi | हिन्दी | हनद
bn | bengali | bangla
ta | tamil
te | telugu
mr | marathi
gu | gujarati
ml | malayalam
kn | kannada
pa | punjabi
ne | nepali
si | sinhala
zh | chinese | mandarin | 中文 | 汉语 | 漢語 | chinois
yue | cantonese
ja | japanese | 日本 | 本語 | 日本語 | japonais
ko | korean | 한국어
vi | vietnamese | tieng viet
th | thai
id | indonesian | bahasa indonesia
ms | malay | bahasa melayu
tl | tagalog | filipino
sv | swedish | svenska | svensk
da | danish | dansk
no | norwegian | norsk | bokmal
nb | norwegian bokmal
nn | nynorsk
fi | finnish | suomi | suomen
is | icelandic
et | estonian
lv | latvian
lt | lithuanian
ca | catalan | catala
eu | basque | euskara
gl | galician | galego
ga | irish
cy | welsh | cymraeg
sw | swahili | kiswahili
yo | yoruba
ig | igbo
ha | hausa
zu | zulu
am | amharic
af | afrikaans
la | latin
multilingual | multilingual | many languages | multiple languages | multi language | cross lingual | crosslingual | mehrsprachig | several languages | 100 languages
";

/// Identifier, whether one may sell what one builds with it, and phrases. The first phrase that fits counts.
const LICENCES: &str = "\
apache-2.0 | yes | apache | apache 2 | apache 2.0 | apache2 | apache license | apache licence
mit | yes | mit | mit license | mit licence
bsd-3-clause | yes | bsd | bsd license
cc0-1.0 | yes | cc0 | public domain
cc-by-4.0 | yes | cc by | cc by 4.0 | creative commons attribution
cc-by-sa-4.0 | yes | cc by sa | cc by sa 4.0
cc-by-nc-4.0 | no | cc by nc | cc by nc 4.0
cc-by-nc-sa-4.0 | no | cc by nc sa | cc by nc sa 4.0
gpl-3.0 | yes | gpl | gplv3 | gpl 3
agpl-3.0 | yes | agpl | agplv3
lgpl-3.0 | yes | lgpl
openrail | yes | openrail | rail license
creativeml-openrail-m | yes | creativeml openrail m
bigscience-bloom-rail-1.0 | yes | bigscience bloom rail
llama2 | yes | llama2 license | llama 2 license | llama 2 community license
llama3 | yes | llama3 license | llama 3 license
gemma | yes | gemma license
other | no | proprietary
";

/// Names under which a library goes.
const LIBRARIES: &str = "\
transformers | transformers
sentence-transformers | sentence transformers
diffusers | diffusers
gguf | gguf | llama.cpp | llama cpp | llamacpp | ggml | ollama
onnx | onnx | onnxruntime | onnx runtime
tensorflow | tensorflow | tf
keras | keras
jax | jax | flax
scikit-learn | scikit learn | sklearn
spacy | spacy
fasttext | fasttext
flair | flair
nemo | nemo
speechbrain | speechbrain
espnet | espnet
timm | timm
ultralytics | ultralytics
mlx | mlx | apple silicon
openvino | openvino
coreml | coreml | core ml
tflite | tflite | tensorflow lite
peft | peft | lora | adapter
stable-baselines3 | stable baselines3 | sb3
paddlenlp | paddle | paddlepaddle
";

/// Words by which a name or a sentence says that weights were quantised.
const QUANTISED: &str = "quantized quantised quantization quantisation quant gguf ggml gptq awq int8 int4 4bit 8bit nf4 bnb exl2 q4 q5 q8 \
q2 q3 q6 fp8 w4a16 w8a8";

/// Metrics of which less is better.
const LESS_IS_BETTER: &str = "wer cer perplexity ppl loss mae mse rmse fid eer der mape smape mase latency lpips error bpb fvd absrel ter";

/// What people shorten, written out.
const SHORTENED: [(&str, &str); 17] = [
    ("img", "image"),
    ("imgs", "images"),
    ("pic", "picture"),
    ("pics", "pictures"),
    ("vid", "video"),
    ("txt", "text"),
    ("doc", "document"),
    ("docs", "documents"),
    ("recog", "recognition"),
    ("clf", "classifier"),
    ("det", "detection"),
    ("seg", "segmentation"),
    ("emb", "embedding"),
    ("gen", "generation"),
    ("emo", "emotion"),
    ("fin", "finance"),
    ("lm", "llm"),
];

/// A shortened word, written out.
pub(crate) fn written_out(word: &str) -> Option<&'static str> {
    SHORTENED
        .iter()
        .find(|(short, _)| *short == word)
        .map(|(_, long)| *long)
}

/// What a phrase means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Concept(Concept),
    Language(Language),
    Licence(&'static str),
    Library(&'static str),
}

/// A phrase found in a sequence of words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub meaning: Meaning,
    /// Index of its first word.
    pub at: usize,
    /// How many words it has.
    pub length: usize,
}

struct ConceptRow {
    name: &'static str,
    broader: Option<Concept>,
}

/// The tables, made ready for looking up.
pub(crate) struct Lexicon {
    concepts: Vec<ConceptRow>,
    codes: Vec<&'static str>,
    /// By the stem of the first word: the stems that follow, and what it means; longest first.
    phrases: HashMap<String, Vec<(Vec<String>, Meaning)>>,
    /// Every stem of every phrase.
    stems: HashSet<String>,
}

fn fields(line: &'static str) -> impl Iterator<Item = &'static str> {
    line.split('|').map(str::trim)
}

impl Lexicon {
    /// The one lexicon of the process.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Lexicon> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    fn new() -> Self {
        let mut lexicon = Self {
            concepts: Vec::new(),
            codes: Vec::new(),
            phrases: HashMap::new(),
            stems: HashSet::new(),
        };
        lexicon.add_concepts();
        for (line, number) in LANGUAGES.lines().zip(0..) {
            let mut fields = fields(line);
            lexicon.codes.extend(fields.next());
            fields.for_each(|phrase| lexicon.phrase(phrase, Meaning::Language(Language(number))));
        }
        for line in LICENCES.lines() {
            let mut all = fields(line);
            if let (Some(id), Some(_)) = (all.next(), all.next()) {
                all.for_each(|phrase| lexicon.phrase(phrase, Meaning::Licence(id)));
            }
        }
        for line in LIBRARIES.lines() {
            let mut all = fields(line);
            if let Some(id) = all.next() {
                all.for_each(|phrase| lexicon.phrase(phrase, Meaning::Library(id)));
            }
        }
        for list in lexicon.phrases.values_mut() {
            list.sort_by_key(|(rest, _)| std::cmp::Reverse(rest.len()));
        }
        lexicon
    }

    fn add_concepts(&mut self) {
        for (line, number) in CONCEPTS.lines().zip(0..) {
            let mut all = fields(line);
            let head = all.next().unwrap_or_default();
            let (name, broader) = match head.split_once(" < ") {
                Some((name, broader)) => (name, self.concept(broader)),
                None => (head, None),
            };
            self.concepts.push(ConceptRow { name, broader });
            let meaning = Meaning::Concept(Concept(number));
            self.phrase(name, meaning);
            all.for_each(|phrase| self.phrase(phrase, meaning));
        }
    }

    fn phrase(&mut self, phrase: &str, meaning: Meaning) {
        let mut stems = text::words(phrase)
            .into_iter()
            .map(|word| text::stem(&word));
        let Some(first) = stems.next() else { return };
        let rest: Vec<String> = stems.collect();
        self.stems.insert(first.clone());
        self.stems.extend(rest.iter().cloned());
        let list = self.phrases.entry(first).or_default();
        if !list.iter().any(|(known, _)| *known == rest) {
            list.push((rest, meaning));
        }
    }

    /// The concept of that name.
    pub(crate) fn concept(&self, name: &str) -> Option<Concept> {
        let at = self.concepts.iter().position(|row| row.name == name)?;
        u8::try_from(at).ok().map(Concept)
    }

    /// The language of an ISO code; regions are ignored.
    pub(crate) fn language(&self, code: &str) -> Option<Language> {
        let code = code.split(['-', '_']).next().unwrap_or(code);
        let at = self
            .codes
            .iter()
            .position(|known| known.eq_ignore_ascii_case(code))?;
        u8::try_from(at).ok().map(Language)
    }

    /// Whether a stem is part of any phrase.
    pub(crate) fn has_stem(&self, stem: &str) -> bool {
        self.stems.contains(stem)
    }

    /// Every phrase of every concept, as written, for what goes by meaning.
    pub(crate) fn concept_phrases(&self) -> impl Iterator<Item = (Concept, &'static str)> {
        CONCEPTS.lines().zip(0..).flat_map(|(line, number)| {
            let phrases = fields(line).map(|phrase| phrase.split(" < ").next().unwrap_or(phrase));
            phrases.map(move |phrase| (Concept(number), phrase))
        })
    }

    /// Every language.
    pub(crate) fn languages(&self) -> impl Iterator<Item = Language> {
        self.codes
            .iter()
            .zip(0..)
            .map(|(_, number)| Language(number))
    }

    /// Every concept, in order.
    pub(crate) fn all_concepts(&self) -> impl Iterator<Item = Concept> {
        self.concepts
            .iter()
            .zip(0..)
            .map(|(_, number)| Concept(number))
    }

    /// Finds phrases from left to right, the longest at each place; they do not overlap.
    pub(crate) fn find(&self, stems: &[String]) -> Vec<Found> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some((first, following)) = stems.get(at..).and_then(<[String]>::split_first) {
            let list = self
                .phrases
                .get(first)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let fit = list.iter().find(|(rest, _)| following.starts_with(rest));
            let length = fit.map_or(1, |(rest, _)| rest.len() + 1);
            found.extend(fit.map(|(_, meaning)| Found {
                meaning: *meaning,
                at,
                length,
            }));
            at += length;
        }
        found
    }
}

impl Concept {
    /// How many there are.
    pub(crate) fn count() -> usize {
        Lexicon::shared().concepts.len()
    }

    /// Its name: that of the task, as cards write it, or one of our own.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// The task that it is a case of.
    #[must_use]
    pub fn broader(self) -> Option<Self> {
        self.row()?.broader
    }

    fn row(self) -> Option<&'static ConceptRow> {
        Lexicon::shared().concepts.get(usize::from(self.0))
    }

    pub(crate) fn number(self) -> usize {
        usize::from(self.0)
    }
}

impl Language {
    /// Its ISO code, or `multilingual`.
    #[must_use]
    pub fn code(self) -> &'static str {
        let codes = &Lexicon::shared().codes;
        codes.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// Its bit in a set of languages.
    pub(crate) fn bit(self) -> u128 {
        1u128.checked_shl(u32::from(self.0)).unwrap_or(0)
    }
}

/// Whether a folded word says that weights were quantised.
pub(crate) fn says_quantised(word: &str) -> bool {
    QUANTISED
        .split_ascii_whitespace()
        .any(|known| known == word)
}

/// Whether less of this metric is better.
pub(crate) fn less_is_better(metric: &str) -> bool {
    let words = text::words(metric);
    words.iter().any(|word| {
        LESS_IS_BETTER
            .split_ascii_whitespace()
            .any(|known| known == word)
    })
}

/// Whether one may sell what one builds with it; unknown licences say no.
pub(crate) fn sellable(licence: &str) -> bool {
    LICENCES.lines().any(|line| {
        let mut fields = fields(line);
        fields.next() == Some(licence) && fields.next() == Some("yes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meanings(sentence: &str) -> Vec<String> {
        let stems: Vec<String> = text::words(sentence)
            .iter()
            .map(|word| text::stem(word))
            .collect();
        let found = Lexicon::shared().find(&stems);
        found
            .iter()
            .map(|found| match found.meaning {
                Meaning::Concept(concept) => concept.name().to_owned(),
                Meaning::Language(language) => language.code().to_owned(),
                Meaning::Licence(id) | Meaning::Library(id) => id.to_owned(),
            })
            .collect()
    }

    #[test]
    fn phrases_mean_what_people_mean() {
        for (sentence, expected) in [
            (
                "named entity recognition for German",
                &["ner", "de"] as &[&str],
            ),
            (
                "speech to text in 日本語",
                &["automatic-speech-recognition", "ja"],
            ),
            ("Zusammenfassung auf Deutsch", &["de"]),
            (
                "summarise research papers, Apache 2.0",
                &["summarization", "science", "apache-2.0"],
            ),
            (
                "zero-shot image classification",
                &["zero-shot-image-classification"],
            ),
            ("zero-shot classifier", &["zero-shot-classification"]),
            ("nothing of the kind", &[]),
            ("", &[]),
        ] {
            assert_eq!(meanings(sentence), expected, "{sentence}");
        }
    }

    #[test]
    fn tables_are_read_whole() {
        let lexicon = Lexicon::shared();
        assert_eq!(lexicon.concepts.len(), CONCEPTS.lines().count());
        assert!(lexicon.codes.len() <= 128, "a set of languages is 128 bits");
        assert!(
            lexicon.concepts.len() <= 128,
            "a set of concepts is 128 bits"
        );
        assert_eq!(
            lexicon.concept("ner").unwrap().broader(),
            lexicon.concept("token-classification")
        );
        assert_eq!(lexicon.language("pt-BR").unwrap().code(), "pt");
        assert!(lexicon.concept("nothing").is_none() && lexicon.language("xx").is_none());
        assert!(sellable("mit") && !sellable("cc-by-nc-4.0") && !sellable("unheard-of"));
        assert!(less_is_better("WER") && less_is_better("test_wer") && !less_is_better("answer"));
    }
}
