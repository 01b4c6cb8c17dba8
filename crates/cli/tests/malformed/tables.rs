//! Tables of CSV and Parquet, and folders of images.

use std::{fs, sync::Arc};

use flate2::Crc;
use image::GrayImage;
use parquet::{
    data_type::{ByteArray, ByteArrayType, FloatType, Int64Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};

use crate::{
    folder::Folder,
    table::{Case, case, check, set},
};

/// The inputs of training are in `x.csv`.
fn csv(name: &'static str, columns: &'static str, bytes: Vec<u8>, parts: &[&'static str]) -> Case {
    let setting: &'static str = match columns {
        "a" => "data.train.inputs=x.csv#a",
        "e" => "data.train.inputs=x.csv#e",
        "-a,b,c,d" => "data.train.inputs=x.csv#-a,b,c,d",
        _ => "data.train.inputs=x.csv",
    };
    let spoil = move |folder: &Folder| folder.write("x.csv", &bytes);
    case(
        name,
        spoil,
        &["--set", setting],
        &[&["data.train", "x.csv"], parts].concat(),
    )
}

#[test]
fn tables_of_text_are_named() {
    let rows = "1,2,3,4\n".repeat(5);
    let heading = |names: &str| format!("{names}\n{rows}1,2,3,4\n").into_bytes();
    check(&[
        csv("an empty .csv", "", Vec::new(), &["empty"]),
        csv(
            "a .csv of a heading alone",
            "",
            b"a,b,c,d\n".into(),
            &["0 samples"],
        ),
        csv(
            "a .csv with a word among numbers",
            "",
            b"a,b,c,d\n1,2,3,4\n1,2,three,4\n".into(),
            &["row 1 (counted from 0; line 3), column `c`", "`three`"],
        ),
        csv(
            "a .csv with nothing in a field",
            "",
            b"a,b\n1,2\n1,\n".into(),
            &["row 1 (counted from 0; line 3), column `b`", "``"],
        ),
        csv(
            "a .csv with an infinite number",
            "",
            b"1,2,3,inf\n".repeat(6),
            &["row 0 (counted from 0), column `3`", "not finite"],
        ),
        csv(
            "a .csv without the column",
            "e",
            heading("a,b,c,d"),
            &["no column `e`", "a, b, c, d"],
        ),
        csv(
            "a .csv of which nothing is left",
            "-a,b,c,d",
            heading("a,b,c,d"),
            &["no column is left"],
        ),
        csv(
            "a .csv with two columns of one name",
            "a",
            heading("a,b,a,d"),
            &["two columns", "`a`"],
        ),
        csv(
            "a .csv with two columns of one name, all taken",
            "",
            heading("a,b,a,d"),
            &["two columns", "`a`"],
        ),
        csv(
            "a ragged .csv",
            "",
            b"a,b\n1,2\n1\n".into(),
            &["line 3 has 1 fields, the first line has 2"],
        ),
        csv(
            "a .csv that is no UTF-8",
            "",
            b"\xff\xfe,1\n".into(),
            &["UTF-8"],
        ),
        csv("a .csv of zero bytes", "", vec![0; 1 << 20], &["x.csv"]),
        csv(
            "a .csv with a field of a megabyte",
            "",
            ["a,b\n1,", &"x".repeat(1 << 20)].concat().into(),
            &["row 0 (counted from 0; line 2), column `b`"],
        ),
        csv(
            "a .csv with escape codes",
            "",
            b"a,b\n1,\x1b[31mred\n".into(),
            &["row 0 (counted from 0; line 2), column `b`"],
        ),
        csv(
            "a .csv with an open quote",
            "",
            b"a,b\n1,\"2\n1,2\n".into(),
            &["x.csv"],
        ),
        case(
            "a .csv of another width",
            |folder| folder.write("x.csv", b"0.5,2\n".repeat(6)),
            &["--set", "data.train.inputs=x.csv"],
            &["data.test", "[4]", "x.csv", "[2]"],
        ),
        case(
            "a folder in place of a .csv",
            |folder| folder.replace_by_folder("x.csv"),
            &["--set", "data.train.inputs=x.csv"],
            &["data.train", "x.csv", "folder"],
        ),
    ]);
}

#[test]
fn tables_that_do_not_say_how_they_are_written_are_named() {
    check(&[
        csv(
            "a .csv that counts its columns and comes again",
            "",
            b"1,2,3,4\n".repeat(9),
            &[
                "`1,2,3,4`, may be a heading or a point",
                "data.header = true or false",
            ],
        ),
        csv(
            "a .csv below years",
            "",
            [&b"2019,2020,2021,2022\n"[..], &b"0.5,1,0.5,1\n".repeat(9)].concat(),
            &["may be a heading or a point", "rise or fall in order"],
        ),
        csv(
            "a .csv with a decimal comma",
            "",
            b"a;b\n0,5;1\n".into(),
            &["numbers such as `0,5`", "data.decimal"],
        ),
        csv(
            "a .csv with two delimiters",
            "",
            b"a,b;c\nx,y;z\n".into(),
            &["`,` or `;`", "data.delimiter"],
        ),
        csv(
            "a .csv in Latin-1",
            "",
            b"a,b\n1,K\xe4fer\n".into(),
            &["line 2 is no UTF-8", "save the file as UTF-8"],
        ),
        csv(
            "a .csv in UTF-16",
            "",
            b"\xff\xfea\0,\0b\0\n\0".into(),
            &["UTF-16", "save the file as UTF-8"],
        ),
        case(
            "a part of a file of an ending that has none",
            |folder| folder.write("x.data", "1,2\n"),
            &["--set", "data.train.inputs=x.data#0,1"],
            &["x.data is there", ".csv"],
        ),
        case(
            "a part of a file that is not there",
            |_| (),
            &["--set", "data.train.inputs=x.data#0,1"],
            &["x.data#0,1 does not exist"],
        ),
        case(
            "tables with their columns in two orders",
            |folder| {
                folder.write("x.csv", format!("a,b,c,d\n{}", "1,2,3,4.5\n".repeat(6)));
                folder.write("xt.csv", format!("a,c,b,d\n{}", "1,2,3,4.5\n".repeat(2)));
            },
            &[
                "--set",
                "data.train.inputs=x.csv",
                "--set",
                "data.test.inputs=xt.csv",
            ],
            &["data.test", "column `b` is number 2", "number 1 of x.csv"],
        ),
        case(
            "test labels in numbers where those of training are names",
            |folder| folder.write("y.txt", "cat\ndog\ncat\ndog\ncat\ndog\n"),
            &["--set", "data.train.targets=y.txt"],
            &[
                "data.test",
                "numbers here but names in data.train",
                "data.classes",
            ],
        ),
        set(
            "a delimiter of two letters",
            "data.delimiter=ab",
            &["data.delimiter", "one character", "ab"],
        ),
        set(
            "a decimal letter",
            "data.decimal=d",
            &["data.decimal", "\"d\""],
        ),
        set(
            "a header in words",
            "data.header=\"yes\"",
            &["data.header", "true or false"],
        ),
        set(
            "an array with a key that is not known",
            "data.train.inputs={ file = \"x.csv\", heading = true }",
            &["data.train.inputs", "heading"],
        ),
    ]);
}

/// A run whose training labels are this text, in a column of `x.csv` or one per line.
fn labels(
    name: &'static str,
    train: &'static str,
    test: &'static str,
    more: &[&'static str],
    parts: &[&'static str],
) -> Case {
    let spoil = move |folder: &Folder| {
        folder.write("y_train.csv", train);
        folder.write("y_test.txt", test);
    };
    let settings = [
        "--set",
        "data.train.targets=y_train.csv#y",
        "--set",
        "data.test.targets=y_test.txt",
    ];
    case(name, spoil, &[&settings[..], more].concat(), parts)
}

#[test]
fn labels_that_are_text_are_named() {
    const TRAIN: &str = "y\ncat\ndog\ncat\ndog\ncat\ndog\n";
    check(&[
        labels(
            "a test class that training has not",
            TRAIN,
            "dog\nbee\n",
            &[],
            &[
                "data.test",
                "y_test.txt",
                "row 1 has the class `bee`",
                "data.train: cat, dog",
            ],
        ),
        labels(
            "more classes by name than outputs",
            "y\ncat\ndog\ncat\ndog\ncat\nbee\n",
            "dog\ncat\n",
            &[],
            &[
                "data.train",
                "the model has 2 outputs",
                "3 classes: bee, cat, dog",
            ],
        ),
        labels(
            "fewer classes by name than outputs",
            "y\ncat\ncat\ncat\ncat\ncat\ncat\n",
            "cat\ncat\n",
            &[],
            &[
                "data.train",
                "the model has 2 outputs",
                "1 classes: cat",
                "data.classes",
            ],
        ),
        labels(
            "a class that data.classes has not",
            TRAIN,
            "dog\ncat\n",
            &["--set", "data.classes=[\"cat\", \"wolf\"]"],
            &["data.train", "class `dog`", "data.classes: cat, wolf"],
        ),
        labels(
            "labels of numbers and text",
            "y\ncat\n1\ncat\n1\ncat\n0\n",
            "dog\ncat\n",
            &[],
            &[
                "labels are all numbers or all names",
                "row 1 (counted from 0) has `1`",
            ],
        ),
        labels(
            "a label that is missing",
            "x,y\n1,cat\n2,\n3,cat\n4,dog\n5,dog\n6,cat\n",
            "dog\ncat\n",
            &[],
            &["row 1 (counted from 0) has ``"],
        ),
        labels(
            "text where the loss needs numbers",
            TRAIN,
            "dog\ncat\n",
            &["--set", "model.loss=mse"],
            &["data.train", "targets of mse are numbers", "cat, dog"],
        ),
    ]);
}

/// A Parquet file of two columns, numbers and words.
fn parquet() -> Vec<u8> {
    let schema = "message t { required float x; required int64 y; required binary word (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).expect("a writer");
    let mut group = file.next_row_group().expect("a group");
    let mut column = group.next_column().expect("open").expect("x");
    let written = column
        .typed::<FloatType>()
        .write_batch(&[0.5; 6], None, None);
    written.expect("written");
    column.close().expect("closed");
    let mut column = group.next_column().expect("open").expect("y");
    let written = column
        .typed::<Int64Type>()
        .write_batch(&[0, 1, 0, 1, 0, 1], None, None);
    written.expect("written");
    column.close().expect("closed");
    let mut column = group.next_column().expect("open").expect("word");
    let words = [(); 6].map(|()| ByteArray::from("word"));
    let written = column
        .typed::<ByteArrayType>()
        .write_batch(&words, None, None);
    written.expect("written");
    column.close().expect("closed");
    group.close().expect("closed");
    file.close().expect("closed");
    bytes
}

#[test]
fn tables_of_parquet_are_named() {
    const X: &[&str] = &["--set", "data.train.inputs=x.parquet#x"];
    let damaged = |name, bytes: Vec<u8>, parts: &[&'static str]| {
        let spoil = move |folder: &Folder| folder.write("x.parquet", &bytes);
        case(
            name,
            spoil,
            X,
            &[&["data.train", "x.parquet"], parts].concat(),
        )
    };
    let whole = parquet();
    let changed = |at: usize, by: u8| {
        let mut bytes = parquet();
        bytes[at] ^= by;
        bytes
    };
    let footer = whole.len() - 8;
    let mut long = whole.clone();
    long[footer..footer + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    check(&[
        damaged("an empty .parquet", Vec::new(), &["not a Parquet file"]),
        damaged(
            "a .parquet of text",
            b"PAR1 and no more".into(),
            &["not a Parquet file"],
        ),
        damaged(
            "a .parquet cut short",
            whole[..whole.len() - 20].into(),
            &["not a Parquet file"],
        ),
        damaged(
            "a .parquet with a damaged footer",
            changed(footer - 60, 0xff),
            &[],
        ),
        damaged(
            "a .parquet with a footer of 4 GiB",
            long,
            &["not a Parquet file"],
        ),
        damaged("a .parquet with a damaged page", changed(4, 0xff), &[]),
        case(
            "a .parquet without the column",
            |folder| folder.write("x.parquet", parquet()),
            &["--set", "data.train.inputs=x.parquet#z"],
            &["x.parquet", "no column `z`", "x, y, word"],
        ),
        case(
            "a .parquet of words",
            |folder| folder.write("x.parquet", parquet()),
            &["--set", "data.train.inputs=x.parquet#word"],
            &["x.parquet", "column `word`", "number"],
        ),
    ]);
}

/// A PNG that claims this width and height, with the data of a single pixel.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = GrayImage::new(1, 1);
    let written = image.write_to(&mut bytes, image::ImageFormat::Png);
    written.expect("written");
    let mut bytes = bytes.into_inner();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = Crc::new();
    sum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    bytes
}

#[test]
fn folders_of_images_are_named() {
    const X: &[&str] = &["--set", "data.train.inputs=photos/"];
    let images = |name, spoil: fn(&Folder), parts: &[&'static str]| {
        let spoil = move |folder: &Folder| {
            for class in ["cats", "dogs"] {
                fs::create_dir_all(folder.path("photos").join(class)).expect("made");
            }
            for file in ["photos/cats/a.png", "photos/dogs/b.png"] {
                GrayImage::new(2, 2).save(folder.path(file)).expect("saved");
            }
            spoil(folder);
        };
        case(name, spoil, X, &[&["data.train", "photos"], parts].concat())
    };
    check(&[
        images(
            "an image of another size",
            |folder| {
                GrayImage::new(3, 2)
                    .save(folder.path("photos/dogs/c.png"))
                    .expect("saved");
            },
            &["c.png", "2 x 2", "2 x 3"],
        ),
        images(
            "an image that is text",
            |folder| folder.write("photos/dogs/b.png", "text"),
            &["b.png"],
        ),
        images(
            "an image cut short",
            |folder| folder.cut("photos/dogs/b.png", -20),
            &["b.png"],
        ),
        images(
            "an image that says it has 2^62 pixels",
            |folder| folder.write("photos/dogs/b.png", png(0x7fff_ffff, 0x7fff_ffff)),
            &["b.png"],
        ),
        images(
            "an image that says it has 2.5 gigapixels",
            |folder| {
                folder.write("photos/cats/a.png", png(50_000, 50_000));
                folder.remove("photos/dogs/b.png");
                folder.write("photos/dogs/b.png", png(50_000, 50_000));
            },
            &["a.png"],
        ),
        images(
            "a class without images",
            |folder| folder.remove("photos/dogs/b.png"),
            &["dogs"],
        ),
        images(
            "a folder of nothing",
            |folder| {
                fs::remove_dir_all(folder.path("photos"))
                    .and_then(|()| fs::create_dir(folder.path("photos")))
                    .expect("made");
            },
            &["folder"],
        ),
    ]);
}
