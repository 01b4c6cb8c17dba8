//! What an output says about where it comes from.

use std::path::Path;

use influence_data::GroupBy;
use toml::Table;

use super::MethodName;

/// The keys that decide about the numbers, with absolute paths, so that they can be computed again
/// from anywhere.
pub(super) fn origin(mut table: Table, base: &Path) -> Table {
    table.remove("output");
    let compute = table.remove("compute");
    if let Some(mode) = compute.and_then(|compute| compute.get("mode").cloned()) {
        let compute = Table::from_iter([("mode".to_owned(), mode)]);
        table.insert("compute".into(), compute.into());
    }
    let name = table
        .get("method")
        .and_then(|method| method.get("name")?.as_str());
    if !name
        .and_then(MethodName::of)
        .is_some_and(MethodName::unrolls)
    {
        table.remove("train");
    }
    if let Some(model) = table.get_mut("model") {
        for key in ["weights", "onnx"] {
            if let Some(file) = model.get_mut(key) {
                absolute(file, base);
            }
        }
    }
    if let Some(data) = table.get_mut("data").and_then(toml::Value::as_table_mut) {
        for (key, value) in data.iter_mut() {
            match (key.as_str(), value) {
                ("train" | "test" | "all", toml::Value::Table(files)) => {
                    for (key, file) in files.iter_mut() {
                        match key.as_str() {
                            "group" => absolute_group(file, base),
                            _ => absolute(file, base),
                        }
                    }
                }
                ("classes", file) => make_absolute(file, base),
                _ => {}
            }
        }
    }
    if let Some(method) = table.get_mut("method") {
        if let Some(moments) = method.get_mut("second_moments") {
            make_absolute(moments, base);
        }
        let checkpoints = method
            .get_mut("checkpoints")
            .and_then(toml::Value::as_array_mut);
        for checkpoint in checkpoints.into_iter().flatten() {
            if let Some(weights) = checkpoint.get_mut("weights") {
                make_absolute(weights, base);
            }
        }
    }
    table
}

/// Makes the path of a file absolute, or those of several.
fn absolute(value: &mut toml::Value, base: &Path) {
    match value {
        toml::Value::Array(list) => list.iter_mut().for_each(|array| make_absolute(array, base)),
        toml::Value::Table(table) if !table.contains_key("file") => {
            for (_, array) in table.iter_mut() {
                make_absolute(array, base);
            }
        }
        one => make_absolute(one, base),
    }
}

/// Makes the paths of the files of groups absolute.
fn absolute_group(group: &mut toml::Value, base: &Path) {
    let Some(group) = group.as_table_mut() else {
        return;
    };
    for key in ["by", "weights"] {
        let file = group.get_mut(key);
        let is_kind = |value: &toml::Value| key == "by" && GroupBy::is_kind(value.as_str());
        if let Some(file) = file.filter(|value| !is_kind(value)) {
            make_absolute(file, base);
        }
    }
}

fn make_absolute(value: &mut toml::Value, base: &Path) {
    let path = match value {
        toml::Value::Table(array) => array.get_mut("file"),
        path => Some(path),
    };
    if let Some(toml::Value::String(path)) = path
        && let Ok(absolute) = std::path::absolute(base.join(&*path))
    {
        *path = absolute.to_string_lossy().into_owned();
    }
}
