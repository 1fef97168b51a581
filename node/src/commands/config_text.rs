//! Changing settings in a configuration's text, so that its comments stay.

use toml::Value;

/// Gives a setting of a table (or, with an empty name, of the top) a value, where its line stands already: as it is, left
/// at its default, or as an example. Without such a line the text stays as it is and `false` is returned.
pub(super) fn set(text: &mut String, table: &str, key: &str, value: &Value) -> bool {
    let mut is_there = false;
    let mut current = String::new();
    let changed: Vec<String> = text
        .lines()
        .map(|line| {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                current = name.to_owned();
            }
            let bare = line.strip_prefix("#e.g. ").or(line.strip_prefix('#')).unwrap_or(line);
            let is_it = bare.split_once('=').is_some_and(|(name, _)| name.trim() == key);
            if current == table && is_it && !is_there {
                is_there = true;
                format!("{key} = {value}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    *text = changed.join("\n") + "\n";
    is_there
}

/// A text as a value.
pub(super) fn quoted(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

/// Several texts.
pub(super) fn list(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(|text| quoted(text.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_changed_in_its_table_alone() {
        let mut text =
            "member = \"a\"\n[keys]\nmember = \"m\"\n#e.g. validator = \"v\"\n[log]\n#format = \"text\"\n".to_owned();
        assert!(set(&mut text, "keys", "member", &quoted("new")));
        assert!(set(&mut text, "keys", "validator", &quoted("x y")));
        assert!(set(&mut text, "log", "format", &quoted("json")));
        assert!(!set(&mut text, "log", "colour", &quoted("none")));
        let expected = "member = \"a\"\n[keys]\nmember = \"new\"\nvalidator = \"x y\"\n[log]\nformat = \"json\"\n";
        assert_eq!(text, expected);
    }
}
