//! A revision of a language model, loaded.

use std::sync::{Arc, LazyLock};

use assay_tensor::transformer::{Alone, Cache, How, Kernel, Model, Run};
use serde_json::Value;

use super::generation::Rules;
use super::text::{
    Constraint, Constraints, Controls, Conversation, Date, Decoder, Parallel, Stops, Template,
    Tokenizer, ToolFormat, ToolSignature,
};
use super::weights::Named;
use super::{Chat, Config, Error, Format, Generation, Parameters, Prompt};
use crate::engine::engine_id;
use crate::{EngineId, Revision};

/// What a manifest names as the engine of a language model.
pub const ENGINE: &str = "language";
/// The version of the arithmetic and of the choice of tokens.
const VERSION: &str = "1";
/// Both in words, part of the engine's id.
const SPECIFICATION: &str = "weights and activations of 8 bits with a scale for each row, exact products; \
the rest in f32 as written, eight lanes and a fixed tree, no fused multiply-add, own elementary functions; \
tokens by integer weights of 40 bits and a draw of BLAKE3 over seed and position; constraints by llguidance 1";

/// A language model: weights, tokenizer, template.
pub struct LanguageModel {
    model: Arc<Model>,
    tokenizer: Arc<Tokenizer>,
    template: Option<Template>,
    /// The template of conversations with tools, where it is another one.
    with_tools: Option<Template>,
    constraints: Constraints,
    ends: Arc<[u32]>,
}

impl std::fmt::Debug for LanguageModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LanguageModel")
            .field("sizes", self.model.dimensions())
            .finish_non_exhaustive()
    }
}

/// Reads a file of a revision.
type Read<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, crate::Error>;

impl LanguageModel {
    /// Loads a revision whose manifest names the engine [`ENGINE`]; `context` is the most tokens of a sequence.
    ///
    /// # Errors
    /// [`crate::Error::Revision`] for a manifest of another engine; [`crate::Error::Language`] for files that cannot be used;
    /// those of [`Revision::read`].
    pub fn load(revision: &Revision, context: usize) -> Result<Self, crate::Error> {
        let manifest = revision.manifest();
        if manifest.engine != ENGINE {
            return Err(crate::Error::Revision(format!(
                "it is for the engine `{}`, this is `{ENGINE}`",
                manifest.engine
            )));
        }
        let names = manifest.files.iter().map(|file| file.path.as_str());
        Self::of(
            &names.collect::<Vec<_>>(),
            &|path| revision.read(path),
            context,
        )
    }

    /// Loads files of these names, as Hugging Face lays them out.
    fn of(names: &[&str], read: Read<'_>, context: usize) -> Result<Self, crate::Error> {
        let maybe = |path: &str| names.contains(&path).then(|| read(path)).transpose();
        let mut config = Config::read(&read("config.json")?, context)?;
        let tokenizer = Tokenizer::from_json(&read("tokenizer.json")?).map_err(Error::from)?;
        if let Some(bytes) = maybe("generation_config.json")? {
            config.end_also(&bytes)?;
        }
        let mut settings = json("tokenizer_config.json", maybe("tokenizer_config.json")?)?;
        if let Some(bytes) = maybe("chat_template.jinja")? {
            let source = String::from_utf8(bytes)
                .map_err(|_| Error::Config("chat_template.jinja is no text in UTF-8".into()))?;
            if let Some(members) = settings.as_object_mut() {
                members.insert("chat_template".into(), Value::String(source));
            }
        }
        let template = |tools| Template::of_config(&settings, tools).map_err(Error::from);
        let weights: Result<Vec<(String, Vec<u8>)>, crate::Error> = names
            .iter()
            .filter(|name| name.ends_with(".safetensors"))
            .map(|name| Ok(((*name).to_owned(), read(name)?)))
            .collect();
        let weights = Named::open(weights?)?.weights(&config)?;
        if tokenizer.vocabulary() > config.sizes.vocabulary {
            return Err(Error::Config(format!(
                "tokenizer.json has {} tokens, the model {}",
                tokenizer.vocabulary(),
                config.sizes.vocabulary
            ))
            .into());
        }
        Ok(Self {
            constraints: Constraints::new(&tokenizer, &config.ends).map_err(Error::from)?,
            model: Arc::new(Model::new(config.sizes, weights).map_err(Error::Weights)?),
            tokenizer: Arc::new(tokenizer),
            template: template(false)?,
            with_tools: template(true)?,
            ends: config.ends.into(),
        })
    }

    /// The id of this engine, whichever model it has loaded.
    pub fn engine(&self) -> EngineId {
        engine_id("assay-language", VERSION, SPECIFICATION)
    }

    /// The arithmetic of the model.
    pub fn weights(&self) -> Arc<Model> {
        self.model.clone()
    }

    /// Most tokens of a prompt and its answer together.
    pub fn context(&self) -> usize {
        self.model.dimensions().context
    }

    /// The bytes that a token adds to a text.
    pub fn bytes_of(&self, token: u32) -> Vec<u8> {
        self.tokenizer.bytes_of(token).unwrap_or_default().to_vec()
    }

    /// How the model writes calls of tools, if it was made for them.
    pub fn tool_format(&self) -> Option<ToolFormat> {
        ToolFormat::of(self.with_tools.as_ref()?.source())
    }

    /// What the model reads.
    ///
    /// # Errors
    /// [`Error::Text`] for what template or tokenizer do not take, [`Error::Parameter`] for a prompt that is none.
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, Error> {
        let tokens = match prompt {
            Prompt::Chat(chat) => self.chat_tokens(chat)?,
            Prompt::Text(text) => {
                let tokens = self.tokenizer.encode(text, Controls::Plain)?;
                self.tokenizer.frame(tokens)?
            }
            Prompt::Tokens(tokens) => tokens.clone(),
        };
        let vocabulary = self.model.dimensions().vocabulary;
        let is_token = |token: &u32| usize::try_from(*token).is_ok_and(|token| token < vocabulary);
        if tokens.is_empty() {
            return Err(Error::parameter("prompt", "it has no token".into()));
        }
        match tokens.iter().find(|token| !is_token(token)) {
            Some(token) => {
                let reason = format!("token {token} is none of {vocabulary}");
                Err(Error::parameter("prompt", reason))
            }
            None => Ok(tokens),
        }
    }

    fn chat_tokens(&self, chat: &Chat) -> Result<Vec<u32>, Error> {
        chat.check()?;
        let template = match chat.tools.is_empty() {
            true => self.template.as_ref(),
            false => self.with_tools.as_ref(),
        };
        let template = template.ok_or_else(|| {
            Error::parameter(
                "messages",
                "this model has no chat template; send a text".into(),
            )
        })?;
        let conversation = Conversation {
            messages: &chat.messages,
            tools: &chat.tools,
            opens_answer: true,
            date: chat.date.as_deref().map(Date::parse).transpose()?,
        };
        let rendered = template.render(&self.tokenizer, &conversation)?;
        Ok(self.tokenizer.encode_rendered(&rendered)?)
    }

    /// An answer to a prompt of these tokens that has not begun; `likely` as in [`Rules`].
    ///
    /// # Errors
    /// [`Error::Context`] for a prompt without room for an answer, [`Error::Parameter`], [`Error::Text`].
    pub fn generation(
        &self,
        prompt: &Prompt,
        tokens: &[u32],
        parameters: &Parameters,
        seed: u64,
        likely: Option<usize>,
    ) -> Result<Generation, Error> {
        let sizes = self.model.dimensions();
        parameters.check(sizes.vocabulary)?;
        let room = sizes.context.saturating_sub(tokens.len());
        let asked = parameters
            .max_tokens
            .map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        // Without room for one token the context is over, whatever was asked for.
        let limit = asked.unwrap_or(room).max(1);
        if tokens.len().saturating_add(limit) > sizes.context {
            return Err(Error::Context {
                prompt: tokens.len(),
                answer: limit,
                context: sizes.context,
            });
        }
        let rules = Rules {
            sampling: parameters.sampling.clone(),
            seed,
            limit,
            ends: self.ends.clone(),
            likely,
        };
        let constraint = self.constraint(prompt, parameters)?;
        let stops = Stops::new(&parameters.stop)?;
        let markers = self
            .tool_format()
            .map_or(&[][..], ToolFormat::markers)
            .iter();
        let markers = markers.filter_map(|marker| self.tokenizer.token_of(marker));
        let decoder = Decoder::new(self.tokenizer.clone());
        let decoder = markers.fold(decoder, Decoder::showing);
        Ok(Generation::new(rules, tokens, constraint, (decoder, stops)))
    }

    fn constraint(
        &self,
        prompt: &Prompt,
        parameters: &Parameters,
    ) -> Result<Option<Constraint>, Error> {
        let constraints = &self.constraints;
        Ok(match &parameters.format {
            None => None,
            Some(Format::JsonObject) => Some(constraints.json_object()?),
            Some(Format::JsonSchema(schema)) => Some(constraints.json_schema(schema)?),
            Some(Format::Call { tools, parallel }) => {
                let format = self.tool_format().ok_or_else(|| {
                    Error::parameter("tools", "this model was not made to call any".into())
                })?;
                let parallel = if *parallel {
                    Parallel::Many
                } else {
                    Parallel::One
                };
                let wanted = signatures(prompt, tools)?;
                Some(constraints.tool_call(format, &wanted, parallel)?)
            }
        })
    }

    /// Vectors of texts, and how many tokens they have together: the mean over tokens of what the last norm makes of
    /// each, of length one. A model that was made to write was not made for this; what such vectors are good for has
    /// to be measured.
    ///
    /// # Errors
    /// [`Error::Text`], [`Error::Context`].
    pub fn embedded(&self, texts: &[String]) -> Result<(Vec<Vec<f32>>, usize), Error> {
        let (mut vectors, mut tokens) = (Vec::with_capacity(texts.len()), 0usize);
        for text in texts {
            let (vector, count) = self.embed(text)?;
            vectors.push(vector);
            tokens = tokens.saturating_add(count);
        }
        Ok((vectors, tokens))
    }

    fn embed(&self, text: &str) -> Result<(Vec<f32>, usize), Error> {
        let tokens = self.tokens(&Prompt::Text(text.to_owned()))?;
        let sizes = self.model.dimensions();
        if tokens.len() > sizes.context {
            return Err(Error::Context {
                prompt: tokens.len(),
                answer: 0,
                context: sizes.context,
            });
        }
        let mut cache = Cache::default();
        let run = Run {
            cache: &mut cache,
            tokens: &tokens,
            wanted: usize::MAX,
        };
        let how = How {
            kernel: Kernel::Widest,
            workers: &Alone,
        };
        let states = self.model.states(&mut [run], how)?.concat();
        let mut sum = vec![0.0f32; sizes.width];
        for row in states.chunks_exact(sizes.width.max(1)) {
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += value;
            }
        }
        let square = sum
            .iter()
            .fold(0.0f32, |square, value| square + value * value);
        let factor = if square > 0.0 {
            1.0 / square.sqrt()
        } else {
            0.0
        };
        let vector = sum.into_iter().map(|value| value * factor).collect();
        Ok((vector, tokens.len()))
    }
}

/// The tools of these names in a conversation.
fn signatures<'a>(prompt: &'a Prompt, names: &[String]) -> Result<Vec<ToolSignature<'a>>, Error> {
    static ANY: LazyLock<Value> = LazyLock::new(|| serde_json::json!({"type": "object"}));
    let Prompt::Chat(chat) = prompt else {
        return Err(Error::parameter(
            "format",
            "only a conversation has tools".into(),
        ));
    };
    let tools = chat.tools.iter().filter_map(|tool| {
        let function = tool.get("function")?;
        let name = function.get("name")?.as_str()?;
        let parameters = function.get("parameters").unwrap_or(&ANY);
        Some(ToolSignature { name, parameters })
    });
    let find = |name: &String| {
        let mut named = tools.clone().filter(|tool| tool.name == name);
        named.next().ok_or_else(|| {
            Error::parameter("format", format!("the conversation has no tool `{name}`"))
        })
    };
    names.iter().map(find).collect()
}

fn json(name: &str, bytes: Option<Vec<u8>>) -> Result<Value, Error> {
    match bytes {
        None => Ok(Value::Object(serde_json::Map::new())),
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| Error::Config(format!("{name}: {error}"))),
    }
}
