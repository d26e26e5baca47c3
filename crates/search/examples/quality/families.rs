//! The families of the generated world: who publishes them, their sizes, licences and libraries, as is publicly known.

/// A family of models.
pub struct Family {
    pub key: &'static str,
    /// How it is written in names.
    pub name: &'static str,
    /// Who published it first.
    pub publisher: &'static str,
    /// Names of its sizes with parameters in millions.
    pub sizes: &'static [(&'static str, u64)],
    pub licence: &'static str,
    pub library: &'static str,
    /// The year of its first publication.
    pub year: u64,
    /// How good it is, other things equal, 0 to 1.
    pub strength: f64,
}

macro_rules! families {
    ($($key:literal $name:literal by $publisher:literal $licence:literal $library:literal $year:literal $strength:literal $sizes:expr;)*) => {
        &[$(Family { key: $key, name: $name, publisher: $publisher, sizes: &$sizes, licence: $licence, library: $library, year: $year, strength: $strength }),*]
    };
}

pub const FAMILIES: &[Family] = families! {
    "bert" "bert" by "google-bert" "apache-2.0" "transformers" 2018 0.40 [("base", 110), ("large", 335), ("tiny", 4), ("small", 29)];
    "roberta" "roberta" by "FacebookAI" "mit" "transformers" 2019 0.55 [("base", 125), ("large", 355)];
    "distilbert" "distilbert" by "distilbert" "apache-2.0" "transformers" 2019 0.35 [("base", 66)];
    "deberta" "deberta-v3" by "microsoft" "mit" "transformers" 2021 0.72 [("xsmall", 70), ("small", 141), ("base", 184), ("large", 435)];
    "electra" "electra" by "google" "apache-2.0" "transformers" 2020 0.50 [("small", 14), ("base", 110), ("large", 335)];
    "xlmr" "xlm-roberta" by "FacebookAI" "mit" "transformers" 2019 0.55 [("base", 278), ("large", 560)];
    "albert" "albert" by "albert" "apache-2.0" "transformers" 2019 0.42 [("base-v2", 12), ("xxlarge-v2", 223)];
    "modernbert" "ModernBERT" by "answerdotai" "apache-2.0" "transformers" 2024 0.74 [("base", 149), ("large", 395)];
    "biobert" "biobert" by "dmis-lab" "apache-2.0" "transformers" 2019 0.55 [("base", 108), ("large", 364)];
    "pubmedbert" "BiomedNLP-PubMedBERT" by "microsoft" "mit" "transformers" 2020 0.65 [("base", 109), ("large", 335)];
    "scibert" "scibert" by "allenai" "apache-2.0" "transformers" 2019 0.50 [("scivocab", 110)];
    "clinicalbert" "ClinicalBERT" by "emilyalsentzer" "mit" "transformers" 2019 0.48 [("bio", 108)];
    "finbert" "finbert" by "ProsusAI" "apache-2.0" "transformers" 2019 0.60 [("base", 110)];
    "flair" "flair" by "flair" "mit" "flair" 2019 0.50 [("default", 85), ("large", 560)];
    "bart" "bart" by "facebook" "apache-2.0" "transformers" 2020 0.60 [("base", 139), ("large", 406)];
    "t5" "t5" by "google-t5" "apache-2.0" "transformers" 2019 0.48 [("small", 60), ("base", 223), ("large", 738), ("3b", 2850)];
    "flan-t5" "flan-t5" by "google" "apache-2.0" "transformers" 2022 0.60 [("small", 77), ("base", 248), ("large", 783), ("xl", 2850)];
    "mt5" "mt5" by "google" "apache-2.0" "transformers" 2020 0.50 [("small", 300), ("base", 580), ("large", 1230)];
    "pegasus" "pegasus" by "google" "apache-2.0" "transformers" 2020 0.62 [("large", 568)];
    "led" "led" by "allenai" "apache-2.0" "transformers" 2020 0.50 [("base-16384", 162), ("large-16384", 460)];
    "marian" "opus-mt" by "Helsinki-NLP" "cc-by-4.0" "transformers" 2020 0.50 [("base", 77), ("tc-big", 230)];
    "nllb" "nllb-200" by "facebook" "cc-by-nc-4.0" "transformers" 2022 0.70 [("distilled-600M", 615), ("1.3B", 1370), ("3.3B", 3340)];
    "m2m100" "m2m100" by "facebook" "mit" "transformers" 2020 0.55 [("418M", 484), ("1.2B", 1240)];
    "mbart" "mbart-large-50" by "facebook" "mit" "transformers" 2020 0.52 [("many-to-many", 611)];
    "tapas" "tapas" by "google" "apache-2.0" "transformers" 2020 0.55 [("small", 29), ("base", 111), ("large", 337)];
    "tapex" "tapex" by "microsoft" "mit" "transformers" 2021 0.65 [("base", 140), ("large", 406)];
    "minilm" "MiniLM-L6-v2" by "sentence-transformers" "apache-2.0" "sentence-transformers" 2021 0.48 [("L6", 23), ("L12", 33)];
    "mpnet" "mpnet-base-v2" by "sentence-transformers" "apache-2.0" "sentence-transformers" 2021 0.55 [("base", 109)];
    "e5" "e5" by "intfloat" "mit" "sentence-transformers" 2022 0.66 [("small", 33), ("base", 110), ("large", 335)];
    "bge" "bge" by "BAAI" "mit" "sentence-transformers" 2023 0.72 [("small", 33), ("base", 109), ("large", 335), ("m3", 568)];
    "gte" "gte" by "thenlper" "mit" "sentence-transformers" 2023 0.68 [("small", 33), ("base", 109), ("large", 335)];
    "nomic" "nomic-embed-text" by "nomic-ai" "apache-2.0" "sentence-transformers" 2024 0.66 [("v1.5", 137)];
    "arctic-embed" "snowflake-arctic-embed" by "Snowflake" "apache-2.0" "sentence-transformers" 2024 0.70 [("xs", 22), ("s", 33), ("m", 109), ("l", 335)];
    "jina" "jina-reranker" by "jinaai" "cc-by-nc-4.0" "transformers" 2024 0.70 [("v1-tiny", 33), ("v2-base", 278)];
    "llama" "Llama-3.1" by "meta-llama" "llama3.1" "transformers" 2024 0.68 [("8B", 8030), ("70B", 70600), ("1B", 1240), ("3B", 3210)];
    "mistral" "Mistral" by "mistralai" "apache-2.0" "transformers" 2023 0.64 [("7B-v0.3", 7250), ("Nemo-12B", 12200), ("Small-24B", 23600)];
    "qwen" "Qwen2.5" by "Qwen" "apache-2.0" "transformers" 2024 0.74 [("0.5B", 494), ("1.5B", 1540), ("7B", 7620), ("14B", 14800), ("32B", 32800)];
    "gemma" "gemma-2" by "google" "gemma" "transformers" 2024 0.68 [("2b", 2610), ("9b", 9240), ("27b", 27200)];
    "phi" "Phi-3.5" by "microsoft" "mit" "transformers" 2024 0.62 [("mini", 3820), ("medium", 14000)];
    "falcon" "falcon" by "tiiuae" "apache-2.0" "transformers" 2023 0.45 [("7b", 7220), ("40b", 41800)];
    "olmo" "OLMo-2" by "allenai" "apache-2.0" "transformers" 2024 0.58 [("1B", 1480), ("7B", 7300), ("13B", 13700)];
    "smollm" "SmolLM2" by "HuggingFaceTB" "apache-2.0" "transformers" 2024 0.45 [("135M", 135), ("360M", 362), ("1.7B", 1710)];
    "yi" "Yi-1.5" by "01-ai" "apache-2.0" "transformers" 2024 0.58 [("6B", 6060), ("9B", 8830), ("34B", 34400)];
    "starcoder" "starcoder2" by "bigcode" "bigcode-openrail-m" "transformers" 2024 0.60 [("3b", 3030), ("7b", 7170), ("15b", 16000)];
    "codellama" "CodeLlama" by "codellama" "llama2" "transformers" 2023 0.52 [("7b", 6740), ("13b", 13000), ("34b", 33700)];
    "deepseek-coder" "deepseek-coder" by "deepseek-ai" "other" "transformers" 2023 0.70 [("1.3b", 1350), ("6.7b", 6740), ("33b", 33300)];
    "qwen-coder" "Qwen2.5-Coder" by "Qwen" "apache-2.0" "transformers" 2024 0.78 [("0.5B", 494), ("1.5B", 1540), ("7B", 7620), ("32B", 32800)];
    "codegemma" "codegemma" by "google" "gemma" "transformers" 2024 0.58 [("2b", 2510), ("7b", 8540)];
    "deepseek-math" "deepseek-math" by "deepseek-ai" "other" "transformers" 2024 0.70 [("7b", 6910)];
    "whisper" "whisper" by "openai" "apache-2.0" "transformers" 2022 0.70 [("tiny", 38), ("base", 73), ("small", 242), ("medium", 764), ("large-v3", 1540)];
    "wav2vec2" "wav2vec2" by "facebook" "apache-2.0" "transformers" 2020 0.50 [("base", 95), ("large-xlsr-53", 315)];
    "hubert" "hubert" by "facebook" "apache-2.0" "transformers" 2021 0.52 [("base", 95), ("large", 316)];
    "conformer" "stt-conformer" by "nvidia" "cc-by-4.0" "nemo" 2021 0.60 [("ctc-small", 13), ("ctc-large", 121)];
    "parakeet" "parakeet" by "nvidia" "cc-by-4.0" "nemo" 2024 0.76 [("ctc-0.6b", 609), ("tdt-1.1b", 1070)];
    "vits" "vits" by "kakao-enterprise" "mit" "transformers" 2021 0.52 [("base", 36)];
    "speecht5" "speecht5" by "microsoft" "mit" "transformers" 2022 0.50 [("base", 144)];
    "bark" "bark" by "suno" "mit" "transformers" 2023 0.55 [("small", 400), ("full", 1000)];
    "xtts" "XTTS" by "coqui" "other" "coqui" 2023 0.66 [("v2", 467)];
    "kokoro" "Kokoro" by "hexgrad" "apache-2.0" "kokoro" 2024 0.72 [("82M", 82)];
    "parler" "parler-tts" by "parler-tts" "apache-2.0" "transformers" 2024 0.58 [("mini", 880), ("large", 2330)];
    "ast" "ast" by "MIT" "bsd-3-clause" "transformers" 2021 0.60 [("10-10", 87)];
    "beats" "beats" by "microsoft" "mit" "pytorch" 2022 0.68 [("iter3", 90)];
    "clap" "clap-htsat" by "laion" "apache-2.0" "transformers" 2023 0.60 [("unfused", 154), ("fused", 154)];
    "panns" "panns-cnn14" by "qiuqiangkong" "mit" "pytorch" 2019 0.45 [("16k", 80)];
    "vit" "vit" by "google" "apache-2.0" "transformers" 2020 0.55 [("tiny", 6), ("small", 22), ("base", 86), ("large", 304)];
    "swin" "swin" by "microsoft" "apache-2.0" "transformers" 2021 0.62 [("tiny", 28), ("base", 88), ("large", 197)];
    "convnext" "convnextv2" by "facebook" "cc-by-nc-4.0" "timm" 2023 0.68 [("atto", 4), ("tiny", 29), ("base", 89), ("large", 198)];
    "resnet" "resnet" by "timm" "apache-2.0" "timm" 2015 0.35 [("18", 12), ("50", 26), ("101", 45)];
    "efficientnet" "efficientnet" by "timm" "apache-2.0" "timm" 2019 0.45 [("b0", 5), ("b4", 19), ("b7", 66)];
    "mobilenet" "mobilenetv3" by "timm" "apache-2.0" "timm" 2019 0.30 [("small", 3), ("large", 5)];
    "deit" "deit" by "facebook" "apache-2.0" "transformers" 2020 0.50 [("tiny", 6), ("small", 22), ("base", 87)];
    "yolo" "yolo11" by "Ultralytics" "agpl-3.0" "ultralytics" 2024 0.64 [("n", 3), ("s", 9), ("m", 20), ("x", 57)];
    "detr" "detr" by "facebook" "apache-2.0" "transformers" 2020 0.45 [("resnet-50", 42), ("resnet-101", 61)];
    "rtdetr" "rtdetr-v2" by "PekingU" "apache-2.0" "transformers" 2024 0.68 [("r18vd", 20), ("r50vd", 43), ("r101vd", 77)];
    "dfine" "dfine" by "ustc-community" "apache-2.0" "transformers" 2024 0.74 [("small", 10), ("large", 31), ("xlarge", 63)];
    "owlv2" "owlv2" by "google" "apache-2.0" "transformers" 2023 0.52 [("base", 155), ("large", 430)];
    "segformer" "segformer" by "nvidia" "other" "transformers" 2021 0.58 [("b0", 4), ("b2", 27), ("b5", 85)];
    "mask2former" "mask2former-swin" by "facebook" "mit" "transformers" 2022 0.66 [("tiny", 47), ("large", 216)];
    "birefnet" "BiRefNet" by "ZhengPeng7" "mit" "transformers" 2024 0.70 [("lite", 44), ("general", 220)];
    "sam" "sam2-hiera" by "facebook" "apache-2.0" "sam2" 2024 0.70 [("tiny", 39), ("large", 224)];
    "dpt" "dpt" by "Intel" "apache-2.0" "transformers" 2021 0.50 [("hybrid-midas", 123), ("large", 343)];
    "depth-anything" "Depth-Anything-V2" by "depth-anything" "apache-2.0" "transformers" 2024 0.74 [("Small", 25), ("Base", 98), ("Large", 335)];
    "zoedepth" "zoedepth" by "Intel" "mit" "transformers" 2023 0.58 [("nyu-kitti", 346)];
    "blip" "blip" by "Salesforce" "bsd-3-clause" "transformers" 2022 0.60 [("base", 247), ("large", 470)];
    "git" "git" by "microsoft" "mit" "transformers" 2022 0.52 [("base", 177), ("large", 394)];
    "vit-gpt2" "vit-gpt2" by "nlpconnect" "apache-2.0" "transformers" 2021 0.35 [("base", 239)];
    "trocr" "trocr" by "microsoft" "mit" "transformers" 2021 0.60 [("small", 62), ("base", 334), ("large", 608)];
    "got-ocr" "GOT-OCR2" by "stepfun-ai" "apache-2.0" "transformers" 2024 0.70 [("580M", 561)];
    "paddleocr" "PP-OCRv4" by "PaddlePaddle" "apache-2.0" "paddleocr" 2023 0.62 [("mobile", 11), ("server", 110)];
    "layoutlm" "layoutlmv3" by "microsoft" "cc-by-nc-sa-4.0" "transformers" 2022 0.66 [("base", 126), ("large", 357)];
    "donut" "donut" by "naver-clova-ix" "mit" "transformers" 2022 0.55 [("base", 201)];
    "udop" "udop" by "microsoft" "mit" "transformers" 2023 0.66 [("large", 742)];
    "llava" "llava-1.6" by "llava-hf" "llama2" "transformers" 2024 0.58 [("7b", 7060), ("13b", 13400)];
    "qwen-vl" "Qwen2.5-VL" by "Qwen" "apache-2.0" "transformers" 2025 0.76 [("3B", 3750), ("7B", 8290)];
    "paligemma" "paligemma2" by "google" "gemma" "transformers" 2024 0.62 [("3b", 3030), ("10b", 9660)];
    "internvl" "InternVL2_5" by "OpenGVLab" "mit" "transformers" 2024 0.72 [("1B", 938), ("4B", 3710), ("8B", 8080)];
    "idefics" "idefics3" by "HuggingFaceM4" "apache-2.0" "transformers" 2024 0.58 [("8b", 8460)];
    "sd" "stable-diffusion-v1-5" by "stable-diffusion-v1-5" "creativeml-openrail-m" "diffusers" 2022 0.45 [("fp16", 1070)];
    "sdxl" "sdxl" by "stabilityai" "openrail++" "diffusers" 2023 0.60 [("base-1.0", 3500), ("turbo", 3500)];
    "flux" "FLUX.1" by "black-forest-labs" "apache-2.0" "diffusers" 2024 0.78 [("schnell", 12000), ("dev", 12000)];
    "pixart" "PixArt-Sigma" by "PixArt-alpha" "openrail++" "diffusers" 2024 0.62 [("XL-2", 611)];
    "kandinsky" "kandinsky-2-2" by "kandinsky-community" "apache-2.0" "diffusers" 2023 0.50 [("decoder", 1250)];
    "swin2sr" "swin2SR" by "caidas" "apache-2.0" "transformers" 2022 0.58 [("classical", 12), ("lightweight", 1)];
    "realesrgan" "Real-ESRGAN" by "ai-forever" "bsd-3-clause" "pytorch" 2021 0.55 [("x4", 17)];
    "hat" "HAT" by "XPixelGroup" "apache-2.0" "pytorch" 2022 0.68 [("L", 41)];
    "cogvideo" "CogVideoX" by "zai-org" "apache-2.0" "diffusers" 2024 0.60 [("2b", 1690), ("5b", 5570)];
    "wan" "Wan2.1-T2V" by "Wan-AI" "apache-2.0" "diffusers" 2025 0.74 [("1.3B", 1420), ("14B", 14300)];
    "ltx" "LTX-Video" by "Lightricks" "other" "diffusers" 2024 0.62 [("2B", 1920)];
    "clip" "clip-vit" by "openai" "mit" "transformers" 2021 0.55 [("base-patch32", 151), ("large-patch14", 428)];
    "siglip" "siglip2" by "google" "apache-2.0" "transformers" 2025 0.74 [("base-patch16", 375), ("so400m", 1130)];
    "eva-clip" "EVA-CLIP" by "QuanSun" "mit" "open_clip" 2023 0.70 [("B", 149), ("L", 428)];
    "dinov2" "dinov2" by "facebook" "apache-2.0" "transformers" 2023 0.74 [("small", 22), ("base", 87), ("large", 304)];
    "mae" "vit-mae" by "facebook" "apache-2.0" "transformers" 2021 0.50 [("base", 112), ("huge", 657)];
    "chronos" "chronos-bolt" by "amazon" "apache-2.0" "chronos" 2024 0.68 [("tiny", 9), ("small", 48), ("base", 205)];
    "timesfm" "timesfm-2.0" by "google" "apache-2.0" "timesfm" 2024 0.72 [("500m", 498)];
    "patchtst" "patchtst" by "ibm-granite" "apache-2.0" "transformers" 2023 0.52 [("etth1", 1)];
    "moirai" "moirai-1.1-R" by "Salesforce" "cc-by-nc-4.0" "uni2ts" 2024 0.66 [("small", 14), ("large", 311)];
    "xgboost" "xgboost" by "scikit-learn" "apache-2.0" "xgboost" 2016 0.55 [("d6", 0)];
    "lightgbm" "lightgbm" by "scikit-learn" "mit" "lightgbm" 2017 0.55 [("v4", 0)];
    "sklearn-forest" "random-forest" by "scikit-learn" "bsd-3-clause" "sklearn" 2012 0.40 [("500", 0)];
    "tabpfn" "TabPFN-v2" by "Prior-Labs" "other" "tabpfn" 2025 0.74 [("clf", 11)];
};

/// Families made for one language, and the jobs for which they are tuned.
pub const NATIONAL: &[(&str, &str, &str, u64, f64)] = &[
    ("de", "gbert", "deepset", 110, 0.62),
    ("de", "gelectra", "deepset", 335, 0.64),
    ("fr", "camembert", "almanach", 111, 0.62),
    ("fr", "flaubert", "flaubert", 138, 0.52),
    ("es", "beto", "dccuchile", 110, 0.52),
    ("es", "roberta-bne", "PlanTL-GOB-ES", 125, 0.62),
    ("it", "bert-italian-xxl", "dbmdz", 110, 0.56),
    ("pt", "bertimbau", "neuralmind", 109, 0.60),
    ("nl", "robbert", "pdelobelle", 117, 0.58),
    ("pl", "herbert", "allegro", 124, 0.60),
    ("ru", "rubert", "DeepPavlov", 178, 0.56),
    ("ar", "arabert", "aubmindlab", 135, 0.58),
    ("zh", "macbert", "hfl", 102, 0.60),
    ("ja", "bert-japanese-v3", "tohoku-nlp", 111, 0.58),
    ("ko", "klue-roberta", "klue", 111, 0.62),
    ("tr", "berturk", "dbmdz", 111, 0.56),
    ("vi", "phobert", "vinai", 135, 0.60),
    ("sv", "bert-swedish", "KB", 125, 0.56),
    ("fi", "finbert-fi", "TurkuNLP", 125, 0.56),
    ("id", "indobert", "indobenchmark", 125, 0.55),
];
