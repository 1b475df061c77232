//! A table as a JSON Schema, for editors, and as a part of the reference page, for people.

use crate::{Key, KeyPath, Preset, Shape, Table, Word};
use serde_json::{Map, Value, json};

/// The file's JSON Schema (draft 2020-12).
pub fn schema(table: &Table) -> Value {
    let mut schema = object(table.keys);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = table.file.into();
    schema["description"] = table.about.into();
    schema["properties"]["$schema"] = json!({ "type": "string", "description": "Where this schema is, for editors." });
    schema
}

fn object(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.into(), property(key))).collect();
    let needed: Vec<&str> = keys.iter().filter(|key| matches!(key.preset, Preset::Needed)).map(|key| key.name).collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !needed.is_empty() {
        object["required"] = needed.into();
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = match &key.shape {
        // An example that is cut short is for people.
        Shape::Text { like, pattern } if like.contains('…') => json!({ "type": "string", "pattern": pattern }),
        Shape::Text { like, pattern } => json!({ "type": "string", "pattern": pattern, "examples": [like] }),
        Shape::Choice(words) => json!({ "enum": words.iter().map(|word| word.word).collect::<Vec<_>>() }),
        Shape::Number { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Names { .. } => json!({ "type": "object" }),
        Shape::Members { keys, .. } => {
            let short = keys.first().map(property);
            json!({ "type": "object", "additionalProperties": { "anyOf": [short, object(keys)] } })
        }
        Shape::Object(keys) => object(keys),
    };
    property["description"] = key.doc.into();
    if let Preset::Number(number) = key.preset {
        property["default"] = number.into();
    }
    property
}

/// The file's part of the reference page, in Markdown.
pub fn page(table: &Table) -> String {
    let mut page = format!("## {}\n\n{}\n", table.file, table.about);
    for key in table.keys {
        page += &format!("\n### {}\n\n{}\n\n{}\n", key.name, facts(table, key, &key.name.into()), key.doc);
        match &key.shape {
            Shape::Choice(words) => page += &choice(words),
            Shape::Members { keys, .. } => {
                let row = |key: &Key| [format!("`{}`", key.name), preset(key), key.doc.into()];
                page += &rows(["key", "left out", ""], keys.iter().map(row));
            }
            Shape::Object(keys) => {
                let row = |key: &Key| [format!("`{}`", key.name), preset(key), format!("{}{}", key.doc, range(key))];
                page += &rows(["key", "left out", ""], keys.iter().map(row));
            }
            Shape::Text { .. } | Shape::Number { .. } | Shape::Names { .. } => {}
        }
    }
    page
}

/// One line: what it looks like, what holds where it is left out, how else it can be said.
fn facts(table: &Table, key: &Key, path: &KeyPath) -> String {
    let shape = match &key.shape {
        Shape::Text { like, .. } => format!("text, like `\"{like}\"`"),
        Shape::Choice(words) => words.iter().map(|word| format!("`\"{}\"`", word.word)).collect::<Vec<_>>().join(" or "),
        Shape::Number { least, most } => format!("whole number, {least} to {most}"),
        Shape::Names { like, .. } => format!("object, like `{{ \"{like}\": \"\" }}`"),
        Shape::Members { like, keys } => {
            let value = |key: &Key| match key.shape {
                Shape::Text { like, .. } => format!("\"{}\": \"{like}\"", key.name),
                _ => format!("\"{}\": …", key.name),
            };
            let values = keys.iter().map(value).collect::<Vec<_>>().join(", ");
            format!("object, like `{{ \"{like}\": {{ {values} }} }}`")
        }
        Shape::Object(_) => "object".into(),
    };
    let also = match (&key.shape, key.is_plain()) {
        (_, true) => format!(" · variable `{}`", table.variable(path)),
        (Shape::Object(_), _) => format!(" · variables `{}_…`, each with its key in capitals", table.variable(path)),
        _ => String::new(),
    };
    let flag = key.flag.map(|flag| format!(" · flag `{flag}`")).unwrap_or_default();
    let preset = match (&key.preset, &key.shape) {
        (Preset::Needed, _) => " · needed".into(),
        (Preset::Said(""), _) => String::new(),
        _ => format!(" · left out: {}", preset(key)),
    };
    format!("*{shape}{preset}{also}{flag}*")
}

fn preset(key: &Key) -> String {
    match key.preset {
        Preset::Needed => "needed".into(),
        Preset::Number(number) => number.to_string(),
        Preset::Said(said) => said.into(),
    }
}

/// Said where it is not what everybody would expect: from 1, and no upper end that anybody reaches.
fn range(key: &Key) -> String {
    match key.shape {
        Shape::Number { least: 0, .. } => " 0 is none at all.".into(),
        Shape::Number { least, .. } if least > 1 => format!(" At least {least}."),
        _ => String::new(),
    }
}

fn choice(words: &[Word]) -> String {
    rows(["word", ""], words.iter().map(|word| [format!("`\"{}\"`", word.word), word.doc.into()]))
}

fn rows<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "));
    let rows: String = rows.map(|row| line(&row)).collect();
    format!("\n{}|{}\n{rows}", line(&heads.map(str::to_owned)), " --- |".repeat(N))
}
