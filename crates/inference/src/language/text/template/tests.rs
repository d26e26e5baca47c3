use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::language::text::tokenizer::tests::{CONTROLS, byte_level, common, texts};

/// ChatML with tools, as Qwen's and Hermes' models have it.
const CHATML: &str = r##"{%- set first = messages[0] %}
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if first.role == 'system' %}
        {{- first.content + '\n\n' }}
    {%- endif %}
    {{- "# Tools\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools>\nAnswer with <tool_call>JSON</tool_call>.<|im_end|>\n" }}
{%- elif first.role == 'system' %}
    {{- '<|im_start|>system\n' + first.content + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'system' and loop.first %}
        {%- continue %}
    {%- elif message.role == 'assistant' and message.tool_calls %}
        {{- '<|im_start|>assistant' }}
        {%- for call in message.tool_calls %}
            {%- set function = call.function %}
            {{- '\n<tool_call>\n{"name": "' + function.name + '", "arguments": ' }}
            {{- function.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.previtem is not defined or loop.previtem.role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
        {%- if loop.nextitem is not defined or loop.nextitem.role != 'tool' %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- else %}
        {%- set text = message.content %}
        {%- if message.role == 'assistant' and '</think>' in text %}
            {%- set text = text.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\n' + text + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"##;

/// Headers and a date, as Llama 3's models have it.
const LLAMA: &str = r#"{{- bos_token }}
{%- set ns = namespace(system='') %}
{%- if messages[0]['role'] == 'system' %}
    {%- set ns.system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{{- "Today Date: " ~ strftime_now("%d %b %Y") ~ "\n\n" ~ ns.system ~ "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}"#;

/// Turns that alternate, as Mistral's models have it.
const MISTRAL: &str = r#"{{ bos_token }}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('user and assistant have to alternate') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + message['content'] + ' [/INST]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' ' + message['content'] + eos_token }}
    {%- else %}
        {{- raise_exception('only user and assistant may speak') }}
    {%- endif %}
{%- endfor %}"#;

/// No system messages, as Gemma's models have it.
const GEMMA: &str = r#"{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {{- raise_exception('a system message is not supported') }}
{%- endif %}
{%- for message in messages %}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' -}}
{% endfor %}
{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"#;

fn render(source: &str, messages: &[Value], tools: &[Value]) -> Result<String, Error> {
    let conversation = Conversation {
        messages,
        tools,
        opens_answer: true,
        date: Some(Date::new(2024, 7, 26).unwrap()),
    };
    let template = Template::new(source, "<s>", "</s>")?;
    Ok(template
        .render(&byte_level(), &conversation)?
        .text()
        .to_owned())
}

fn says(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

#[test]
fn chatml_with_tools() {
    let tool = json!({"type": "function", "function": {"name": "weather", "description": "<b>é</b>",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}}});
    let call = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"town\":\"<Bern>\"}"}}]});
    let messages = [
        says("system", "Be brief."),
        says("user", "Weather?"),
        call,
        json!({"role": "tool", "content": "sun", "tool_call_id": "c1"}),
        says("tool", "wind"),
        says("assistant", "<think>\nhm</think>\n\nSunny."),
        says("user", "thanks"),
    ];
    let expect = concat!(
        "<|im_start|>system\nBe brief.\n\n# Tools\n<tools>\n",
        r#"{"type": "function", "function": {"name": "weather", "description": "<b>é</b>", "#,
        r#""parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}}}"#,
        "\n</tools>\nAnswer with <tool_call>JSON</tool_call>.<|im_end|>\n",
        "<|im_start|>user\nWeather?<|im_end|>\n",
        "<|im_start|>assistant\n<tool_call>\n",
        r#"{"name": "weather", "arguments": {"town": "<Bern>"}}"#,
        "\n</tool_call><|im_end|>\n",
        "<|im_start|>user\n<tool_response>\nsun\n</tool_response>\n<tool_response>\nwind\n</tool_response><|im_end|>\n",
        "<|im_start|>assistant\nSunny.<|im_end|>\n<|im_start|>user\nthanks<|im_end|>\n<|im_start|>assistant\n",
    );
    assert_eq!(render(CHATML, &messages, &[tool]).unwrap(), expect);
}

#[test]
fn llama_mistral_and_gemma() {
    let messages = [
        says("user", " Hi "),
        says("assistant", "Hello"),
        says("user", "Bye"),
    ];
    assert_eq!(
        render(LLAMA, &messages[..1], &[]).unwrap(),
        "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user\
         <|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    );
    assert_eq!(
        render(MISTRAL, &messages, &[]).unwrap(),
        "<s>[INST]  Hi  [/INST] Hello</s>[INST] Bye [/INST]"
    );
    assert_eq!(
        render(GEMMA, &messages, &[]).unwrap(),
        "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n<start_of_turn>user\nBye\
         <end_of_turn>\n<start_of_turn>model\n"
    );
}

#[test]
fn what_a_template_raises_comes_back_in_its_words() {
    let system = [says("system", "x")];
    let refused = |text: &str| Err(Error::Refused(text.into()));
    assert_eq!(
        render(GEMMA, &system, &[]),
        refused("a system message is not supported")
    );
    assert_eq!(
        render(MISTRAL, &[says("assistant", "x")], &[]),
        refused("user and assistant have to alternate")
    );
    assert_eq!(
        render(
            "{% macro m() %}{{ raise_exception('no') }}{% endmacro %}{{ m() }}",
            &[],
            &[]
        ),
        refused("no")
    );
    assert_eq!(render("{{ raise_exception('') }}", &[], &[]), refused(""));
}

#[test]
fn a_date_is_an_argument_or_missing() {
    let conversation = Conversation {
        messages: &[says("user", "x")],
        ..Conversation::default()
    };
    let template = Template::new(LLAMA, "", "").unwrap();
    let error = template
        .render(&byte_level(), &conversation)
        .unwrap_err()
        .to_string();
    assert!(error.contains("today's date"), "{error}");
    let error = render("{{ strftime_now('%H') }}", &[], &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than a date"), "{error}");
}

#[test]
fn templates_run_within_bounds() {
    for endless in [
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}xxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'x' * 1000000000 }}",
        "{% set ns = namespace(t='xxxxxxxx') %}{% for i in range(99) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}",
        "{{ range(1000000000) | list }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ 'a'.center(1000000000) }}",
        "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
        "{{ 'x\ny' | indent(1000000000) }}",
    ] {
        let error = render(endless, &[], &[]);
        assert!(
            matches!(error, Err(Error::Template(_))),
            "{endless}: {:?}",
            error.map(|text| text.len())
        );
    }
}

#[test]
fn templates_that_are_none_are_refused() {
    for bad in [
        "{% if %}",
        "{{",
        "{% for x in y %}",
        "{% nothing %}",
        "{{ a b }}",
        "{% endif %}",
        "a\u{FDD0}",
        "{% include 'file' %}",
        "{% import 'file' as x %}",
    ] {
        assert!(
            matches!(render(bad, &[], &[]), Err(Error::Template(_))),
            "{bad}"
        );
    }
    for bad in [
        "{{ open('file') }}",
        "{{ x.y.z }}",
        "{{ x | tojson }}",
        "{{ 1 | tojson(indent='a') }}",
        "{{ 'a'.nothing() }}",
    ] {
        assert!(
            matches!(render(bad, &[], &[]), Err(Error::Template(_))),
            "{bad}"
        );
    }
    let long = " ".repeat(limits::TEMPLATE_BYTES_MAX + 1);
    assert!(matches!(
        Template::new(&long, "", ""),
        Err(Error::TooLarge { .. })
    ));
    assert!(matches!(
        render("", &[], &vec![json!({}); 129]),
        Err(Error::TooLarge { .. })
    ));
    assert!(matches!(
        Template::new("", "\u{FFFF}", ""),
        Err(Error::Template(_))
    ));
}

#[test]
fn what_the_common_environment_writes() {
    let check = |source: &str, expect: &str| {
        assert_eq!(render(source, &[], &[]).unwrap(), expect, "{source}")
    };
    check(
        "{{ true }} {{ none }} {{ 1.0 }} {{ missing }}|",
        "True None 1.0 |",
    );
    check(
        "{{ {'b': [1, 'é<'], 'a': none} | tojson }}",
        r#"{"b": [1, "é<"], "a": null}"#,
    );
    check(
        "{{ {'b': [1]} | tojson(indent=2) }}",
        "{\n  \"b\": [\n    1\n  ]\n}",
    );
    check("{{ [1, 2] | tojson(separators=(',', ':')) }}", "[1,2]");
    check("{% generation %}a{%- endgeneration %}b", "ab");
    check(
        "{{ ' a,b '.strip().split(',')[1] }}{{ {'k': 1}.items() | list | length }}",
        "b1",
    );
    check(
        "{% for i in [1,2,3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}\n",
        "1",
    );
    check("  {% if true %}\n  x\n  {% endif %}\ny", "  x\ny");
}

#[test]
fn templates_come_from_the_configuration() {
    let of = |config: Value, tools: bool| {
        Template::of_config(&config, tools).map(|t| t.map(|t| t.source().to_owned()))
    };
    assert_eq!(of(json!({}), true), Ok(None));
    assert_eq!(
        of(
            json!({"chat_template": "x", "bos_token": {"content": "<s>"}}),
            true
        ),
        Ok(Some("x".into()))
    );
    let list = json!([{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]);
    assert_eq!(
        of(json!({"chat_template": list}), true),
        Ok(Some("t".into()))
    );
    assert_eq!(
        of(json!({"chat_template": list}), false),
        Ok(Some("d".into()))
    );
    for bad in [
        json!({"chat_template": 1}),
        json!({"chat_template": []}),
        json!({"chat_template": [{"name": "default"}]}),
        json!({"chat_template": [{"name": "rag", "template": "x"}]}),
        json!({"chat_template": "x", "bos_token": 1}),
        json!({"chat_template": "x", "eos_token": {}}),
        json!({"chat_template": {"default": "x"}}),
    ] {
        assert!(
            matches!(of(bad.clone(), false), Err(Error::Template(_))),
            "{bad}"
        );
    }
}

/// Tokens of a conversation with this content, and how many of them are control tokens.
fn tokens(source: &str, content: &str) -> (Rendered, Vec<u32>, usize) {
    let tokenizer = byte_level();
    let messages = [
        says("user", content),
        says("assistant", "<think>x</think>hello"),
        says("user", content),
    ];
    let conversation = Conversation {
        messages: &messages,
        opens_answer: true,
        ..Conversation::default()
    };
    let template = Template::new(source, "<|im_start|>", "<|eot_id|>").unwrap();
    let rendered = template.render(&tokenizer, &conversation).unwrap();
    let tokens = tokenizer.encode_rendered(&rendered).unwrap();
    let controls = tokens
        .iter()
        .filter(|token| tokenizer.is_control(**token))
        .count();
    (rendered, tokens, controls)
}

/// A template that takes texts apart and builds control tokens around them.
const REBUILDING: &str = "{{ bos_token }}{% for m in messages %}{{ '<|' ~ m.content ~ '|>' ~ (m.content | trim) ~ \
    (m.content | upper | lower) ~ (m.content | list | join) ~ '<' ~ m.content ~ '>' ~ m.content[1:] ~ m.content[:-1] ~ \
    (m.content | tojson) ~ m.content.replace('hello', '').replace(' ', '') ~ (m.content | reverse) }}{% endfor %}";

proptest! {
    /// Contents without control tokens: exactly the tokens of the common way.
    #[test]
    fn tokens_are_those_of_the_common_way(content in texts()) {
        for source in [CHATML, MISTRAL] {
            let (rendered, tokens, _) = tokens(source, &content);
            prop_assert_eq!(&tokens, &common(&byte_level(), rendered.text()));
        }
    }

    /// Contents with control tokens: as many control tokens as without, and the text is the same.
    #[test]
    fn no_content_becomes_a_control_token(
        parts in prop::collection::vec(
            (texts(), prop::sample::select(CONTROLS.to_vec()), 0usize..12, 0usize..12),
            1..4,
        ),
    ) {
        let cut = |control: &str, from: usize, to: usize| -> String {
            control.chars().skip(from).take(control.len().saturating_sub(from + to)).collect()
        };
        let whole: String = parts.iter().map(|(text, control, ..)| format!("{text}{control}")).collect();
        let pieces = parts.iter().map(|(text, control, from, to)| text.clone() + &cut(control, *from, *to));
        let pieces: String = pieces.collect();
        let (_, control, from, to) = &parts[0];
        for content in [whole, pieces, cut(control, *from, *to), format!(" {} ", cut(control, *from, *to))] {
            for source in [CHATML, MISTRAL] {
                let (rendered, _, controls) = tokens(source, &content);
                prop_assert!(rendered.text().contains(&content));
                prop_assert_eq!(controls, tokens(source, "hello").2);
            }
            // Its only control token is the first: what the assistant thinks is in brackets of the template's.
            let tokenizer = byte_level();
            let template = Template::new(REBUILDING, "<|im_start|>", "").unwrap();
            let messages = [says("user", &content)];
            let conversation = Conversation { messages: &messages, ..Conversation::default() };
            let tokens = tokenizer.encode_rendered(&template.render(&tokenizer, &conversation).unwrap()).unwrap();
            prop_assert_eq!(tokens.iter().filter(|token| tokenizer.is_control(**token)).count(), 1, "{:?}", content);
        }
    }

    #[test]
    fn any_text_is_a_template_or_refused(source in "[{}%a-z '|()\\[\\]0-9~+.-]{0,40}") {
        let _ = render(&source, &[says("user", "x")], &[]);
        let _ = render(&format!("{{{{ {source} }}}}"), &[says("user", "x")], &[]);
        let _ = render(&format!("{{% {source} %}}"), &[says("user", "x")], &[]);
    }
}
