use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use influence_core::{FieldSource, Values};

use super::*;

/// A file of this name and text, with a part of it.
fn table(name: &str, bytes: &[u8], part: Option<&str>) -> (tempfile::TempDir, ArrayPath) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    let at = ArrayPath {
        path,
        part: part.map(str::to_owned),
        ..ArrayPath::default()
    };
    (folder, at)
}

fn numbers(columns: &Columns) -> (Vec<usize>, Vec<f64>) {
    let field = &columns.field;
    let values = match field.rows(0..field.shape()[0]).expect("read") {
        Values::I64(values) => values.iter().map(|&value| value as f64).collect(),
        Values::F64(values) => values.into_iter().collect(),
        _ => panic!("tables are of 64 bits"),
    };
    (field.shape().to_vec(), values)
}

fn read(name: &str, text: &str, part: Option<&str>) -> Result<Columns> {
    let (_folder, at) = table(name, text.as_bytes(), part);
    open(&at)
}

#[test]
fn a_heading_of_numbers_is_no_point() -> Result<()> {
    let columns = read("x.csv", "0,1\n0.5,2\n3,4\n", None)?;
    assert_eq!(numbers(&columns), (vec![2, 2], vec![0.5, 2.0, 3.0, 4.0]));
    assert_eq!(columns.form.header, Some(true));
    let [note] = &columns.remarks[..] else {
        panic!("{:?}", columns.remarks);
    };
    assert!(
        note.contains("`0,1`, was taken for the heading; set data.header = false"),
        "{note}"
    );
    Ok(())
}

#[test]
fn what_is_said_goes_before_what_the_lines_tell() -> Result<()> {
    for (header, rows) in [(true, 2), (false, 3)] {
        let (_folder, mut at) = table("x.csv", b"0,1\n0.5,2\n3,4\n", None);
        at.form.header = Some(header);
        let columns = open(&at)?;
        assert_eq!(columns.field.shape(), [rows, 2]);
        assert!(columns.remarks.is_empty(), "{:?}", columns.remarks);
    }
    let (_folder, mut at) = table("x.csv", b"2019;2020\n0,5;-1,25\n", Some("2020"));
    at.form = TableForm {
        header: Some(true),
        delimiter: None,
        decimal: Some(Decimal::Comma),
    };
    assert_eq!(numbers(&open(&at)?), (vec![1], vec![-1.25]));
    Ok(())
}

#[test]
fn the_first_point_of_a_table_without_heading_is_kept() -> Result<()> {
    let iris = "5.1,3.5,setosa\n4.9,3,setosa\n7,3.2,versicolor\n";
    let columns = read("iris.csv", iris, Some("0,1"))?;
    assert_eq!(
        numbers(&columns),
        (vec![3, 2], vec![5.1, 3.5, 4.9, 3.0, 7.0, 3.2])
    );
    assert!(columns.remarks[0].contains("taken for a point"));
    let (_folder, at) = table("iris.csv", iris.as_bytes(), Some("2"));
    assert_eq!(texts(&at)?.rows, ["setosa", "setosa", "versicolor"]);
    Ok(())
}

#[test]
fn delimiters_and_packing_are_found() -> Result<()> {
    let expected = (vec![2, 2], vec![0.5, 2.0, 3.0, 4.0]);
    for (name, text, remarks) in [
        ("x.csv", "a,b\n0.5,2\n3,4\n", 0),
        ("X.CSV", "a,b\r\n0.5,2\r\n3,4\r\n", 0),
        ("x.csv", "a;b\n0.5;2\n3;4\n", 1),
        ("x.csv", "a\tb\n0.5\t2\n3\t4\n", 1),
        ("x.tsv", "a\tb\n0.5\t2\n3\t4\n", 0),
        ("x.tsv", "a,b\n0.5,2\n3,4\n", 1),
        ("x.csv", "0.5 2\n3 4\n", 1),
        ("x.csv", "\u{feff}a,b\n0.5,2\n3,4\n\n", 0),
    ] {
        let columns = read(name, text, None)?;
        assert_eq!(numbers(&columns), expected, "{name}: {text}");
        assert_eq!(columns.remarks.len(), remarks, "{:?}", columns.remarks);
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(b"\xef\xbb\xbfa,b\n0.5,2\n3,4\n")?;
    let (_folder, at) = table("x.csv.gz", &packed.finish()?, None);
    assert_eq!(numbers(&open(&at)?), expected);
    Ok(())
}

#[test]
fn an_index_is_left_out_and_told() -> Result<()> {
    for text in [
        ",a,y\n7,0.5,1\n9,2,0\n",
        "Unnamed: 0,a,y\n7,0.5,1\n9,2,0\n",
        "__index_level_0__,a,y\n7,0.5,1\n9,2,0\n",
    ] {
        let columns = read("t.csv", text, Some("-y"))?;
        assert_eq!(numbers(&columns), (vec![2, 1], vec![0.5, 2.0]));
        assert!(columns.remarks[0].contains("is an index and is left out"));
    }
    let named = read("t.csv", "Unnamed: 0,a\n7,0.5\n9,2\n", Some("Unnamed: 0,a"))?;
    assert_eq!(numbers(&named), (vec![2, 2], vec![7.0, 0.5, 9.0, 2.0]));
    assert!(named.remarks.is_empty());
    // A remark names a column that counts the rows.
    let rows = ["1,0.5", "2,0.5", "3,0.5", "4,0.5", "5,0.5", "6,0.5"].join("\n");
    let counted = read("t.csv", &format!("Id,a\n{rows}"), None)?;
    assert!(counted.remarks[0].contains("`Id` counts the rows"));
    Ok(())
}

#[test]
fn what_is_wrong_is_named() {
    for (text, part, expected) in [
        (
            "a,b\n1,2\n1,x\n",
            None,
            "row 1 (counted from 0; line 3), column `b`: expected a number, got `x`",
        ),
        (
            "a,b\n1,2\n1\n",
            None,
            "line 3 has 1 fields, the first line has 2",
        ),
        (
            "a;b\n0,5;2\n",
            None,
            "there are numbers such as `0,5`; set data.decimal",
        ),
        ("a,b\n\"0,5\",2\n", None, "set data.decimal"),
        ("cat\ndog\n", None, "may be a heading or a point"),
        (
            "0.5,1.5\n?,2\n",
            None,
            "row 1 (counted from 0; line 2), column `0`",
        ),
        ("?,1.5\n3,2\n", None, "was taken for a point"),
        ("a,b\n1,2\n", Some("0"), "was taken for the heading"),
    ] {
        let error = format!("{:#}", read("x.csv", text, part).expect_err(expected));
        assert!(error.contains(expected), "{text}: {error}");
    }
    for (bytes, expected) in [
        (&b"\xff\xfea\0,\0"[..], "UTF-16"),
        (b"a,b\n1,K\xe4fer\n", "line 2 is no UTF-8"),
    ] {
        let (_folder, at) = table("x.csv", bytes, None);
        let error = format!("{:#}", open(&at).expect_err(expected));
        assert!(error.contains(expected) && error.ends_with(SAVE), "{error}");
    }
    let (_folder, mut at) = table("x.csv", b"1,5\n2,5\n", None);
    at.form.delimiter = Some(Delimiter(b','));
    at.form.decimal = Some(Decimal::Comma);
    assert!(open(&at).is_err());
}
