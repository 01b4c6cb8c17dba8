//! Answers as files.

use std::{fs, fs::File, path::Path};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::{Map, Value, json};

use super::Folder;

/// The rows of a Parquet file as objects.
fn rows(path: &Path) -> Vec<Value> {
    let file = File::open(path).expect("the file");
    let reader = SerializedFileReader::new(file).expect("a Parquet file");
    let rows = reader.get_row_iter(None).expect("rows");
    let object = |row: parquet::record::Row| {
        let named = row.get_column_iter().map(|(name, field)| {
            let value = match field {
                Field::Null => Value::Null,
                Field::Long(value) => json!(value),
                Field::Double(value) => json!(value),
                Field::Str(value) => json!(value),
                other => panic!("a value of another type: {other}"),
            };
            (name.clone(), value)
        });
        Value::Object(named.collect::<Map<_, _>>())
    };
    rows.map(|row| object(row.expect("a row"))).collect()
}

fn parsed(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("a list")
}

#[test]
fn parquet_holds_what_json_holds() {
    let folder = Folder::computed();
    for (command, output) in [("top", "influences.zarr"), ("mislabelled", "self.zarr")] {
        let file = format!("{command}.parquet");
        let said = folder.done(&[command, output, "--output", &file]);
        assert_eq!(said, format!("wrote {file}\n"));
        let listed = parsed(&folder.done(&[command, output, "--format", "json"]));
        assert!(listed.len() >= 20);
        assert_eq!(rows(&folder.path(&file)), listed, "{command}");
    }
    // Without true labels the column is there, but empty.
    assert!(rows(&folder.path("mislabelled.parquet"))[0]["truth"].is_null());
}

#[test]
fn files_are_those_that_would_be_printed() {
    let folder = Folder::computed();
    for (file, format) in [("a.csv", "csv"), ("a.JSON", "json"), ("a.txt", "table")] {
        let mut arguments = vec!["top", "influences.zarr", "--output", file];
        if format == "table" {
            arguments.extend(["--format", format]);
        }
        folder.done(&arguments);
        let printed = folder.done(&["top", "influences.zarr", "--format", format]);
        let written = fs::read_to_string(folder.path(file)).expect("the file");
        assert_eq!(written, printed, "{file}");
    }
}

#[test]
fn a_file_is_replaced_only_when_that_is_said() {
    let folder = Folder::computed();
    let top = ["top", "influences.zarr", "--output", "a.csv"];
    fs::write(folder.path("a.csv"), "mine").expect("written");
    let complaint = folder.refused(&top);
    assert!(
        complaint.contains("a.csv exists") && complaint.contains("--overwrite"),
        "{complaint}"
    );
    let read = || fs::read_to_string(folder.path("a.csv")).expect("there");
    assert_eq!(read(), "mine");
    folder.done(&[&top[..], &["--overwrite"]].concat());
    assert!(read().starts_with("test,test_id,target,"));
    assert!(!folder.path("a.csv.tmp").exists());
    fs::create_dir(folder.path("folder.csv")).expect("made");
    for (arguments, part) in [
        (["--format", "parquet"], "name a file with --output"),
        (["--output", "a.txt"], "expected the ending"),
        (["--output", "gone/a.csv"], "the folder gone does not exist"),
        (["--output", "folder.csv"], "is a folder"),
    ] {
        let complaint = folder.refused(&[&top[..2], &arguments].concat());
        assert!(complaint.contains(part), "{complaint}");
    }
}
