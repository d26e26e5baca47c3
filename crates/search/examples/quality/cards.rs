//! What publishers write: from whole essays to nothing at all, in several languages, by hand and by machine.

use super::jobs::JOBS;
use super::world::{Chance, Model, Nature, SPOKEN, World};

/// The text of a model's card.
pub fn card(world: &World, model: &Model, chance: &mut Chance) -> String {
    let own = |model: &Model, chance: &mut Chance| {
        let native = model
            .languages
            .first()
            .copied()
            .filter(|code| *code != "en" && model.languages.len() <= 2);
        match native {
            Some(code) if chance.happens(0.45) => in_language(code, model, chance),
            _ if model.source.is_none() => essay(model, chance),
            _ => match chance.below(10) {
                0..=3 => essay(model, chance),
                4..=6 => short(model, chance),
                7 | 8 => by_machine(model, chance),
                _ => String::new(),
            },
        }
    };
    match (
        model.nature,
        model.source.and_then(|at| world.models.get(at)),
    ) {
        (Nature::Copy, Some(source)) => source.document.card.clone(),
        (Nature::Quantised, Some(source)) => format!(
            "# {}\n\nFewer bits per weight, same behaviour. Made from `{}` with little loss.\n\n{}",
            model.id,
            source.id,
            if chance.happens(0.5) {
                model.job.says[0]
            } else {
                ""
            }
        ),
        (Nature::Spam, Some(source)) => stuffed(source, chance),
        _ => own(model, chance),
    }
}

fn title(model: &Model) -> &str {
    model.id.split('/').next_back().unwrap_or_default()
}

fn language_name(code: &str) -> &'static str {
    SPOKEN
        .iter()
        .find(|(known, ..)| *known == code)
        .map_or("English", |(_, name, _)| name)
}

fn essay(model: &Model, chance: &mut Chance) -> String {
    let mut text = format!("# {}\n\n", title(model));
    if chance.happens(0.2) {
        text.push_str("![banner](https://example.org/banner.png)\n\n");
    }
    text.push_str(chance.word(model.job.says));
    if let Some((from, to)) = model.pair {
        text.push_str(&format!(
            " From {} to {}.",
            language_name(from),
            language_name(to)
        ));
    } else if model.languages.len() > 4 {
        text.push_str(&format!(" Covers {} languages.", model.languages.len() * 6));
    } else if let Some(code) = model.languages.first()
        && (*code != "en" || chance.happens(0.3))
    {
        text.push_str(&format!(" Made for {}.", language_name(code)));
    }
    text.push_str("\n\n## How to use\n\n```python\nfrom transformers import pipeline\npipe = pipeline(model=\"");
    text.push_str(&model.id);
    text.push_str("\")\n```\n\n## Background\n\n");
    let background = [
        "It has %P parameters and was trained for three epochs on four A100 cards with a learning rate of 2e-5.",
        "We keep the checkpoint with the lowest validation loss. The model has %P parameters.",
        "Please cite our paper if this is of use to you. Biases of the training material are reproduced by the model.",
        "Limitations: inputs longer than the context are truncated, rare spellings are handled badly.",
        "The code that we used is in the repository next to this one. Feedback is welcome.",
    ];
    for _ in 0..1 + chance.below(3) {
        text.push_str(
            &chance
                .pick(&background)
                .replace("%P", &millions(model.parameters)),
        );
        text.push('\n');
    }
    if chance.happens(0.5) {
        text.push_str(&format!("\n{}\n", chance.pick(model.job.says)));
    }
    if chance.happens(0.4) {
        text.push_str(&format!(
            "\nEvaluated on {}.\n",
            chance.pick(model.job.measured).0
        ));
    }
    if chance.happens(0.4) {
        text.push_str(&format!(
            "\n## License\n\nReleased under the {} license.\n",
            model.licence
        ));
    }
    text
}

fn millions(parameters: u64) -> String {
    if parameters >= 1_000_000_000 {
        format!("{:.1}B", parameters as f64 / 1e9)
    } else {
        format!("{}M", parameters / 1_000_000)
    }
}

fn short(model: &Model, chance: &mut Chance) -> String {
    let place = model
        .languages
        .first()
        .filter(|code| **code != "en")
        .map(|code| format!(" ({})", language_name(code)));
    format!(
        "{}{}",
        chance.pick(model.job.says),
        place.unwrap_or_default()
    )
}

fn by_machine(model: &Model, chance: &mut Chance) -> String {
    let (dataset, metric) = chance.pick(model.job.measured);
    format!(
        "<!-- This model card has been generated automatically according to the information the Trainer had access to. -->\n\n# {}\n\n\
        This model is a fine-tuned version of a checkpoint on the {dataset} dataset.\nIt achieves the following results on the evaluation set:\n\
        - Loss: 0.{}\n- {metric}: 0.{}\n\n## Model description\n\nMore information needed\n\n## Training procedure\n\nlearning_rate: 5e-05\ntrain_batch_size: {}\nseed: 42\n",
        title(model),
        100 + chance.below(800),
        600 + chance.below(390),
        8 << chance.below(3)
    )
}

fn in_language(code: &str, model: &Model, chance: &mut Chance) -> String {
    let data = chance.pick(model.job.measured).0;
    let name = title(model);
    match code {
        "de" => format!(
            "# {name}\n\nDieses Modell wurde auf deutschen Texten trainiert und auf {data} geprüft. Es ist für die Forschung und für den Einsatz in der Praxis gedacht. Fragen bitte über die Diskussionen stellen."
        ),
        "fr" => format!(
            "# {name}\n\nCe modèle a été entraîné sur des textes en français et évalué avec {data}. Il est destiné à la recherche et à un usage pratique dans les entreprises."
        ),
        "es" => format!(
            "# {name}\n\nEste modelo fue entrenado con textos en español y evaluado con {data}. Está pensado para la investigación y para un uso práctico en las empresas."
        ),
        "it" => format!(
            "# {name}\n\nQuesto modello è stato addestrato su testi in italiano e valutato con {data}. È pensato per la ricerca e per un uso pratico."
        ),
        "pt" => format!(
            "# {name}\n\nEste modelo foi treinado com textos em português e avaliado com {data}. Ele é destinado para a pesquisa e para o uso em produção."
        ),
        "zh" => format!(
            "# {name}\n\n本模型在大规模语料上训练，并在 {data} 上进行了评估。欢迎在讨论区提出问题和建议。"
        ),
        "ja" => format!(
            "# {name}\n\nこのモデルは日本のテキストで学習し、{data} で評価しました。研究にも実務にもお使いいただけます。"
        ),
        "ru" => format!(
            "# {name}\n\nЭта модель обучена на русских текстах и проверена на {data}. Подходит для исследований и для практического применения."
        ),
        "ko" => format!(
            "# {name}\n\n이 모델은 국내 말뭉치로 학습했으며 {data} 에서 평가했습니다. 연구와 실무에 모두 사용할 수 있습니다."
        ),
        "ar" => format!(
            "# {name}\n\nتم تدريب هذا النموذج على نصوص كبيرة وتم تقييمه على {data}. مناسب للبحث والاستخدام العملي."
        ),
        "pl" => format!(
            "# {name}\n\nTen model został wytrenowany na polskich tekstach i sprawdzony na {data}. Nadaje się do badań oraz do pracy."
        ),
        "nl" => format!(
            "# {name}\n\nDit model is getraind op Nederlandse teksten en getest met {data}. Het is bedoeld voor onderzoek en voor gebruik in de praktijk."
        ),
        _ => short(model, chance),
    }
}

/// Another's card with every word that somebody might search for.
fn stuffed(source: &Model, chance: &mut Chance) -> String {
    let mut text = source.document.card.clone();
    text.push_str("\n\nKeywords: ");
    for _ in 0..18 {
        let job = chance.pick(&JOBS);
        text.push_str(chance.word(job.asks));
        text.push_str(", ");
    }
    for _ in 0..3 {
        text.push_str(&format!(
            "{} {} best free sota fast small ",
            source.job.asks[0], source.job.asks[0]
        ));
    }
    text.push_str("best model, number one, state of the art, apache license, german, french, english, small, fast, quantized gguf");
    text
}

/// The tags of a model's card.
pub fn tags(model: &Model, chance: &mut Chance) -> Vec<String> {
    let mut tags = Vec::new();
    if model.nature == Nature::Spam {
        for _ in 0..10 {
            let job = chance.pick(&JOBS);
            tags.push(job.tag.to_owned());
            tags.push((*chance.pick(job.names)).to_owned());
        }
        tags.push(model.job.tag.to_owned());
        return tags;
    }
    if chance.happens(0.35) {
        return tags;
    }
    if chance.happens(0.6) {
        tags.push(model.library.clone());
    }
    if chance.happens(0.5) {
        tags.push((*chance.pick(model.job.names)).to_owned());
    }
    if chance.happens(0.5) {
        tags.extend(
            model
                .languages
                .iter()
                .take(6)
                .map(|code| (*code).to_owned()),
        );
    }
    if chance.happens(0.4) {
        tags.push(format!("license:{}", model.licence));
    }
    if chance.happens(0.3) {
        tags.push("safetensors".into());
    }
    if chance.happens(0.2) {
        tags.push(format!("dataset:{}", chance.pick(model.job.measured).0));
    }
    tags
}
