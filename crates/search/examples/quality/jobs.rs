//! What the models of the generated world are for, in the generator's own words.
//!
//! These sentences were written beside the ranker's lexicon and not from it: what people write on cards and type into
//! search boxes. The ranker does not read this file, and this file reads nothing of the ranker.

/// Something that models are made to do.
pub struct Job {
    /// Its name within the world.
    pub key: &'static str,
    /// What the card's field says, when its publisher fills it in.
    pub tag: &'static str,
    /// Parts of names.
    pub names: &'static [&'static str],
    /// Sentences of cards.
    pub says: &'static [&'static str],
    /// Short queries.
    pub asks: &'static [&'static str],
    /// Needs as people without the vocabulary put them.
    pub needs: &'static [&'static str],
    /// Abbreviated or sloppy queries.
    pub slang: &'static [&'static str],
    /// Data sets with their metrics.
    pub measured: &'static [(&'static str, &'static str)],
    /// Families that are tuned for it.
    pub families: &'static [&'static str],
    /// Whether it depends on a language.
    pub spoken: bool,
    /// A job whose models half serve.
    pub near: &'static str,
}

macro_rules! job {
    ($key:literal $tag:literal $spoken:literal near $near:literal names $names:expr; says $says:expr; asks $asks:expr; needs $needs:expr; slang $slang:expr; measured $measured:expr; families $families:expr) => {
        Job {
            key: $key,
            tag: $tag,
            names: &$names,
            says: &$says,
            asks: &$asks,
            needs: &$needs,
            slang: &$slang,
            measured: &$measured,
            families: &$families,
            spoken: $spoken,
            near: $near,
        }
    };
}

const ENCODERS: [&str; 8] = [
    "bert",
    "roberta",
    "distilbert",
    "deberta",
    "electra",
    "xlmr",
    "albert",
    "modernbert",
];
const CHATS: [&str; 9] = [
    "llama", "mistral", "qwen", "gemma", "phi", "falcon", "olmo", "smollm", "yi",
];
const VISION: [&str; 7] = [
    "vit",
    "swin",
    "convnext",
    "resnet",
    "efficientnet",
    "mobilenet",
    "deit",
];

pub const JOBS: [Job; 40] = [
    job!("sentiment" "text-classification" true near "emotion"
        names ["sentiment", "sst2", "imdb", "reviews-polarity", "stars"];
        says ["Predicts whether a piece of text is favourable or unfavourable.", "Trained on user reviews to tell praise from complaint.", "Fine-tuned for sentiment on short comments; outputs positive, neutral or negative."];
        asks ["sentiment analysis", "review sentiment classifier", "positive negative classification", "opinion polarity"];
        needs ["I want to know if my customers like or hate the product from what they write", "tell me whether comments about our app are good or bad", "measure how people feel about a brand in their reviews"];
        slang ["sentimnet clf", "sst-2 model", "pos/neg classifier"];
        measured [("sst2", "accuracy"), ("imdb", "accuracy"), ("amazon_polarity", "f1")]; families ENCODERS),
    job!("emotion" "text-classification" true near "sentiment"
        names ["emotion", "go-emotions", "feelings"];
        says ["Recognises joy, anger, sadness, fear, love and surprise in messages.", "Multi-label emotion tags for conversational text."];
        asks ["emotion detection text", "go emotions", "joy anger sadness classifier"];
        needs ["find out if a chat message sounds sad or angry", "label diary entries with the mood of the writer"];
        slang ["emo detection", "emotoin classifier"];
        measured [("emotion", "f1"), ("go_emotions", "f1")]; families ENCODERS),
    job!("toxic" "text-classification" true near "sentiment"
        names ["toxicity", "hate-speech", "offensive", "jigsaw", "civil-comments"];
        says ["Flags insults, threats and identity attacks in user comments.", "A filter for abusive posts, trained on annotated forum discussions."];
        asks ["toxic comment classifier", "hate speech detection", "content moderation text"];
        needs ["automatically hide rude and insulting posts in our forum", "keep a community free of abusive messages"];
        slang ["toxic clf", "hatespeech detecter"];
        measured [("jigsaw_toxicity", "roc_auc"), ("hatexplain", "f1")]; families ENCODERS),
    job!("nli" "text-classification" true near "zeroshot"
        names ["mnli", "nli", "snli-mnli", "anli"];
        says ["Decides if a hypothesis follows from a premise, contradicts it or neither.", "Entailment model trained on MultiNLI and friends."];
        asks ["natural language inference", "textual entailment", "mnli model"];
        needs ["check whether one statement logically follows from another", "find contradictions between two claims"];
        slang ["nli xl", "entailmant"];
        measured [("mnli", "accuracy"), ("anli", "accuracy")]; families ENCODERS),
    job!("zeroshot" "zero-shot-classification" true near "nli"
        names ["zeroshot", "zero-shot", "mnli-zeroshot"];
        says ["Sorts text into labels that are only given at run time.", "No training examples needed: pass candidate labels and get scores."];
        asks ["zero-shot text classification", "classify text with custom labels without training"];
        needs ["put support tickets into categories I make up on the fly, without collecting examples"];
        slang ["0-shot classifier", "zeroshot nli"];
        measured [("agnews_zeroshot", "accuracy"), ("yahoo_zeroshot", "accuracy")]; families ["deberta", "bart", "roberta", "xlmr"]),
    job!("spamfilter" "text-classification" true near "toxic"
        names ["spam", "sms-spam", "phishing"];
        says ["Separates unsolicited bulk messages from wanted mail.", "Detects phishing attempts in mail bodies and SMS."];
        asks ["spam detection", "phishing email classifier", "sms spam"];
        needs ["stop scam mails from reaching our staff", "sort out unwanted advertising messages on phones"];
        slang ["spam fliter"]; measured [("sms_spam", "f1"), ("enron_spam", "f1")]; families ["bert", "distilbert", "roberta"]),
    job!("ner" "token-classification" true near "pii"
        names ["ner", "conll03", "wikineural", "entities"];
        says ["Tags persons, organisations, locations and miscellaneous names in running text.", "Sequence tagger trained on CoNLL style annotations."];
        asks ["named entity recognition", "entity extraction", "ner tagger"];
        needs ["pull the people, companies and cities out of news articles", "highlight every organisation mentioned in a report"];
        slang ["NER", "named entitiy recog"];
        measured [("conll2003", "f1"), ("wikineural", "f1")]; families ENCODERS),
    job!("pii" "token-classification" true near "ner"
        names ["pii", "deid", "anonymizer"];
        says ["Finds names, phone numbers, addresses and card numbers so that they can be masked.", "De-identification of records before sharing."];
        asks ["pii detection", "anonymize personal data in text"];
        needs ["black out private details such as phone numbers before we share transcripts"];
        slang ["PII masking"]; measured [("pii_masking_200k", "f1"), ("i2b2_deid", "f1")]; families ["deberta", "distilbert", "roberta", "bert"]),
    job!("pos" "token-classification" true near "ner"
        names ["pos", "upos", "postagger"];
        says ["Assigns a grammatical category to each word (noun, verb, adjective).", "Universal Dependencies tagger."];
        asks ["part-of-speech tagging", "pos tagger"];
        needs ["mark which words of a sentence are nouns and which are verbs"];
        slang ["POS tagging"]; measured [("universal_dependencies", "accuracy")]; families ["bert", "xlmr", "flair"]),
    job!("extractqa" "question-answering" true near "docqa"
        names ["squad2", "squad", "qa", "xquad"];
        says ["Given a passage and a question, points at the span that holds the reply.", "Reader model fine-tuned on SQuAD 2.0, knows when there is no reply."];
        asks ["extractive question answering", "squad reader", "question answering"];
        needs ["look up the reply to a question inside a given manual paragraph", "let users query a long text and highlight where it says so"];
        slang ["QA squad", "queston answering"];
        measured [("squad_v2", "f1"), ("squad", "exact_match")]; families ENCODERS),
    job!("tableqa" "table-question-answering" true near "extractqa"
        names ["wtq", "tabfact", "table-qa"];
        says ["Replies to questions about the cells of a table.", "Trained on WikiTableQuestions with weak supervision."];
        asks ["table question answering", "tapas wtq"];
        needs ["ask questions to my spreadsheets in plain words"];
        slang ["tableqa"]; measured [("wikitablequestions", "accuracy"), ("wikisql", "accuracy")]; families ["tapas", "tapex"]),
    job!("summary" "summarization" true near "chat"
        names ["cnn", "xsum", "summarization", "samsum", "tldr"];
        says ["Writes a few sentences that carry the main points of an article.", "Abstractive: rephrases instead of copying sentences.", "Boils down dialogues into short minutes."];
        asks ["text summarization", "news summarizer", "abstractive summarization"];
        needs ["make long articles short", "give me the main points of a meeting transcript", "boil down lengthy reports into a paragraph"];
        slang ["summrization", "tl;dr model"];
        measured [("cnn_dailymail", "rouge2"), ("xsum", "rouge2"), ("samsum", "rougeL")]; families ["bart", "t5", "pegasus", "flan-t5", "led", "mt5"]),
    job!("translate" "translation" true near "chat"
        names ["opus-mt", "wmt", "translation"];
        says ["Converts sentences from the source into the target tongue.", "Trained on OPUS parallel corpora.", "Neural machine translation for everyday text."];
        asks ["translation", "machine translation", "translate text"];
        needs ["read foreign emails in my own language", "turn our product pages into another language"];
        slang ["MT model", "translater"]; measured [("flores", "chrf"), ("wmt19", "bleu")]; families ["marian", "nllb", "m2m100", "mbart", "mt5"]),
    job!("maskedlm" "fill-mask" true near "embed"
        names ["base", "large", "cased", "uncased"];
        says ["Pretrained with a masking objective on large corpora; fine-tune it on your own task.", "An encoder to start from, not a finished application."];
        asks ["masked language model", "pretrained encoder for fine-tuning", "fill-mask"];
        needs ["a starting point that I can train further on my own labelled sentences"];
        slang ["mlm base"]; measured [("glue", "average")]; families ["bert", "roberta", "deberta", "electra", "albert", "xlmr", "modernbert", "distilbert"]),
    job!("embed" "sentence-similarity" true near "rerank"
        names ["embedding", "sts", "all-nli", "sentence", "retrieval"];
        says ["Maps sentences and paragraphs to dense vectors for clustering or search.", "Produces vectors whose cosine reflects how close two passages are."];
        asks ["sentence embeddings", "text embedding model", "embeddings for semantic search", "embedding model for rag"];
        needs ["find documents that say the same in other words", "group similar support requests together", "detect duplicate questions in a help forum"];
        slang ["sbert", "txt embeddings", "STS"];
        measured [("mteb_retrieval", "ndcg_at_10"), ("stsb", "spearman"), ("mteb_clustering", "v_measure")]; families ["minilm", "mpnet", "e5", "bge", "gte", "nomic", "arctic-embed"]),
    job!("rerank" "text-ranking" true near "embed"
        names ["reranker", "cross-encoder", "msmarco-ranker"];
        says ["Scores a query together with a passage; use it on the first hits of a retriever.", "Cross-encoder trained on MS MARCO."];
        asks ["reranker", "cross encoder ms marco", "passage reranking"];
        needs ["put the first fifty results of our document search into a better order"];
        slang ["re-ranker"]; measured [("msmarco_dev", "mrr_at_10"), ("beir_rerank", "ndcg_at_10")]; families ["minilm", "bge", "electra", "gte", "jina"]),
    job!("chat" "text-generation" true near "basellm"
        names ["instruct", "chat", "it", "dpo", "sft"];
        says ["Follows instructions and holds conversations over many turns.", "Aligned with preference data to be a useful partner in dialogue."];
        asks ["chat model", "instruction tuned llm", "conversational assistant"];
        needs ["build a helpdesk bot that talks to visitors", "something like ChatGPT that I can run on my own server", "draft replies to letters automatically"];
        slang ["llm instruct", "chatbot lm"];
        measured [("mt_bench", "score"), ("mmlu", "accuracy"), ("ifeval", "accuracy")]; families CHATS),
    job!("basellm" "text-generation" true near "chat"
        names ["base", "pt", "hf"];
        says ["Raw next-token predictor without any alignment.", "Pretrained on trillions of tokens of web pages, books and repositories."];
        asks ["base llm pretrained", "causal language model base"];
        needs ["a raw generator that I can adapt with my own instructions data"];
        slang ["base lm"]; measured [("mmlu", "accuracy"), ("hellaswag", "accuracy"), ("arc_challenge", "accuracy")]; families CHATS),
    job!("coder" "text-generation" true near "chat"
        names ["coder", "code", "code-instruct"];
        says ["Completes functions and explains snippets in dozens of programming languages.", "Fill-in-the-middle training on permissively licensed repositories."];
        asks ["code generation", "code completion llm", "programming assistant"];
        needs ["autocomplete for my editor", "write unit tests for Python functions", "turn a plain request into a database query"];
        slang ["codegen llm", "humaneval sota"];
        measured [("humaneval", "pass@1"), ("mbpp", "pass@1")]; families ["starcoder", "codellama", "deepseek-coder", "qwen-coder", "codegemma"]),
    job!("mathlm" "text-generation" true near "chat"
        names ["math", "math-instruct", "prover"];
        says ["Works through arithmetic and competition problems step by step.", "Tuned on worked solutions from school to olympiad level."];
        asks ["math llm", "mathematical reasoning model"];
        needs ["solve school exercises with worked steps"];
        slang ["gsm8k lm"]; measured [("gsm8k", "accuracy"), ("math_500", "accuracy")]; families ["qwen", "deepseek-math", "mistral", "llama"]),
    job!("asr" "automatic-speech-recognition" true near "tts"
        names ["asr", "librispeech", "commonvoice", "stt"];
        says ["Writes down what is said in a recording.", "Acoustic model fine-tuned on Common Voice clips at 16 kHz."];
        asks ["speech recognition", "speech to text", "automatic speech recognition"];
        needs ["turn recorded interviews into written text", "make captions for my podcast", "type what I dictate"];
        slang ["asr", "STT", "speach recognition"];
        measured [("librispeech_clean", "wer"), ("common_voice", "wer"), ("fleurs", "wer")]; families ["whisper", "wav2vec2", "hubert", "conformer", "parakeet"]),
    job!("tts" "text-to-speech" true near "asr"
        names ["tts", "vits", "ljspeech", "voices"];
        says ["Speaks written sentences with a natural prosody.", "Single speaker synthesiser, 22 kHz, runs faster than real time."];
        asks ["text to speech", "speech synthesis", "tts voice"];
        needs ["have articles read out loud", "give my assistant a natural voice"];
        slang ["TTS", "text2speech"]; measured [("ljspeech_mos", "mos"), ("seed_tts", "wer")]; families ["vits", "speecht5", "bark", "xtts", "kokoro", "parler"]),
    job!("soundtag" "audio-classification" false near "asr"
        names ["audioset", "esc50", "sound-events"];
        says ["Names what can be heard: dog bark, siren, rain, engine.", "Spectrogram transformer trained on AudioSet."];
        asks ["audio classification", "sound event detection", "environmental sounds"];
        needs ["notice breaking glass or alarms in a microphone feed", "tell bird calls from traffic in field recordings"];
        slang ["audio clf"]; measured [("audioset", "map"), ("esc50", "accuracy")]; families ["ast", "beats", "clap", "panns"]),
    job!("imgclass" "image-classification" false near "imgfeat"
        names ["in1k", "imagenet", "food101", "224", "patch16-224"];
        says ["Assigns one of a thousand labels to a photograph.", "Trained on ImageNet at 224x224 resolution."];
        asks ["image classification", "image classifier", "imagenet model"];
        needs ["sort my photo collection by what is on it", "recognise which product is on a picture"];
        slang ["img clf", "imagnet"]; measured [("imagenet-1k", "top1"), ("food101", "accuracy")]; families VISION),
    job!("detect" "object-detection" false near "segment"
        names ["coco", "det", "objects"];
        says ["Draws boxes around things in a scene and names them.", "Real-time detector trained on COCO."];
        asks ["object detection", "real-time object detector", "bounding boxes"];
        needs ["count the cars on a parking lot camera", "find where on the shelf each item is"];
        slang ["obj det", "objcet detection"]; measured [("coco_val", "map"), ("lvis", "map")]; families ["yolo", "detr", "rtdetr", "dfine", "owlv2"]),
    job!("segment" "image-segmentation" false near "detect"
        names ["ade", "cityscapes", "seg", "rmbg"];
        says ["Labels each pixel with the class it belongs to.", "Cuts objects out of their surroundings."];
        asks ["semantic segmentation", "image segmentation", "background removal"];
        needs ["cut the person out of a photo", "outline streets and pavements in a picture"];
        slang ["img seg", "segmentaton"]; measured [("ade20k", "miou"), ("cityscapes", "miou")]; families ["segformer", "mask2former", "birefnet", "sam"]),
    job!("depth" "depth-estimation" false near "segment"
        names ["depth", "nyu", "kitti"];
        says ["Estimates how far each pixel is from the camera.", "Monocular depth from one picture."];
        asks ["depth estimation", "monocular depth"];
        needs ["know how far away things are from a single photo"];
        slang ["monodepth"]; measured [("nyu_depth_v2", "absrel"), ("kitti", "absrel")]; families ["dpt", "depth-anything", "zoedepth"]),
    job!("caption" "image-to-text" true near "vlm"
        names ["captioning", "coco-caption", "image-captioning"];
        says ["Writes a sentence about what a picture shows.", "Vision encoder with a text decoder, trained on captions."];
        asks ["image captioning", "describe images"];
        needs ["generate alternative texts for pictures on our site for blind readers"];
        slang ["img2txt"]; measured [("coco_captions", "cider"), ("nocaps", "cider")]; families ["blip", "git", "vit-gpt2"]),
    job!("ocr" "image-to-text" true near "docqa"
        names ["handwritten", "printed", "ocr"];
        says ["Reads a line of print or handwriting from an image.", "Transformer based text recognition for scans."];
        asks ["ocr", "handwriting recognition", "text recognition from images"];
        needs ["digitise old letters", "get the text out of scanned pages"];
        slang ["OCR", "handwritting"]; measured [("iam", "cer"), ("sroie", "f1")]; families ["trocr", "got-ocr", "paddleocr"]),
    job!("docqa" "document-question-answering" true near "ocr"
        names ["docvqa", "cord", "invoices"];
        says ["Extracts totals, dates and names from photographed paperwork.", "Understands the arrangement of a page, not only its words."];
        asks ["document question answering", "invoice extraction", "docvqa"];
        needs ["get the amount and due date from bills that suppliers send as PDF"];
        slang ["docvqa lmv3"]; measured [("docvqa", "anls"), ("cord", "f1")]; families ["layoutlm", "donut", "udop"]),
    job!("vlm" "image-text-to-text" true near "caption"
        names ["vision", "vl", "vlm", "llava"];
        says ["Talks about pictures: give it an image and a request.", "Joins a visual encoder with a large decoder."];
        asks ["vision language model", "multimodal chat with images", "visual question answering"];
        needs ["ask questions about photos in a conversation", "let the assistant look at screenshots"];
        slang ["VLM", "multi modal llm"]; measured [("mmmu", "accuracy"), ("vqav2", "accuracy")]; families ["llava", "qwen-vl", "paligemma", "internvl", "idefics"]),
    job!("t2i" "text-to-image" false near "imgedit"
        names ["diffusion", "xl", "photoreal", "illustration"];
        says ["Paints pictures from a written prompt.", "Latent diffusion checkpoint tuned for realistic photography."];
        asks ["text to image", "image generation", "diffusion model photorealistic"];
        needs ["make illustrations for my blog from a description", "create concept art by typing what I imagine"];
        slang ["txt2img", "SD xl", "stabel diffusion"]; measured [("geneval", "score"), ("mjhq30k", "fid")]; families ["sd", "sdxl", "flux", "pixart", "kandinsky"]),
    job!("imgedit" "image-to-image" false near "t2i"
        names ["upscaler", "x4", "restoration", "inpaint"];
        says ["Enlarges pictures four times without blur.", "Repairs noise and compression damage."];
        asks ["image super resolution", "upscale images", "image restoration"];
        needs ["make small blurry pictures large and crisp"];
        slang ["superres", "upscalling"]; measured [("div2k", "psnr"), ("urban100", "psnr")]; families ["swin2sr", "realesrgan", "hat"]),
    job!("t2v" "text-to-video" false near "t2i"
        names ["t2v", "video", "clips"];
        says ["Generates clips of a few seconds from a prompt.", "Spatio-temporal diffusion transformer."];
        asks ["text to video", "video generation"];
        needs ["produce a short film clip from a script line"];
        slang ["txt2vid"]; measured [("vbench", "score")]; families ["cogvideo", "wan", "ltx"]),
    job!("cliplike" "zero-shot-image-classification" false near "imgfeat"
        names ["clip", "laion2b", "webli"];
        says ["Embeds pictures and captions in one space.", "Contrastive pretraining on image and text pairs."];
        asks ["zero-shot image classification", "clip model", "image text retrieval"];
        needs ["search my pictures by describing them in words"];
        slang ["CLIP vit"]; measured [("imagenet_zeroshot", "top1"), ("coco_retrieval", "recall@5")]; families ["clip", "siglip", "eva-clip"]),
    job!("imgfeat" "image-feature-extraction" false near "cliplike"
        names ["features", "ssl", "giant"];
        says ["Self-supervised visual features that transfer without labels.", "Frozen backbone for retrieval of look-alike pictures."];
        asks ["image feature extraction", "image similarity embeddings"];
        needs ["find pictures that look alike"];
        slang ["img embeddings"]; measured [("imagenet_knn", "top1")]; families ["dinov2", "mae", "vit"]),
    job!("forecast" "time-series-forecasting" false near "tabular"
        names ["forecast", "tsfm", "ett"];
        says ["Predicts the next values of a series from its past.", "Pretrained on many series, no fitting required."];
        asks ["time series forecasting", "forecasting foundation model"];
        needs ["estimate how much electricity we will use tomorrow hour by hour", "plan stock from the sales of past months"];
        slang ["ts forecast", "timeseries"]; measured [("gift_eval", "mase"), ("etth1", "mse")]; families ["chronos", "timesfm", "patchtst", "moirai"]),
    job!("tabular" "tabular-classification" false near "forecast"
        names ["churn", "credit", "fraud", "titanic"];
        says ["Boosted trees over columns of a table.", "Predicts a yes or no from customer attributes."];
        asks ["tabular classification", "fraud detection tabular", "churn prediction"];
        needs ["guess which customers are about to cancel from our account table"];
        slang ["xgb clf"]; measured [("adult_income", "accuracy"), ("creditcard_fraud", "roc_auc")]; families ["xgboost", "lightgbm", "sklearn-forest", "tabpfn"]),
    job!("biomed" "token-classification" true near "ner"
        names ["biomedical-ner", "bc5cdr", "clinical-ner", "ncbi-disease"];
        says ["Marks diseases, drugs and genes in abstracts and patient notes.", "Continued pretraining on PubMed, then tuned on annotated abstracts."];
        asks ["biomedical named entity recognition", "clinical entity extraction", "disease and drug ner"];
        needs ["pull medication names out of doctors' notes", "index research abstracts by the illnesses they mention"];
        slang ["bioNER", "medical ner"]; measured [("bc5cdr", "f1"), ("ncbi_disease", "f1")]; families ["biobert", "pubmedbert", "scibert", "clinicalbert"]),
    job!("finsent" "text-classification" true near "sentiment"
        names ["finance-sentiment", "fin", "phrasebank"];
        says ["Tone of earnings calls, filings and market headlines.", "Trained on the Financial PhraseBank."];
        asks ["financial sentiment", "finbert", "sentiment of stock news"];
        needs ["see if headlines about a company are bullish or bearish"];
        slang ["finsent"]; measured [("financial_phrasebank", "f1"), ("fiqa", "f1")]; families ["finbert", "roberta", "distilbert"]),
];
