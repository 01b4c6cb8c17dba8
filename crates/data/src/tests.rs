use std::path::Path;

use npyz::{AutoSerialize, Serialize, WriterBuilder};

use influence_core::{Dataset, FieldForm, FieldKind, Labels, Precision, Values};

use anyhow::Result;

use crate::{
    array_path::ArrayPath,
    labels::ClassOrder,
    readers::Readers,
    sample_files::{SampleFiles, SampleForm},
    samples::{Gather, GroupedSamples, Samples, Target},
    settings::{Files, Take},
};

fn write<T: Serialize + AutoSerialize + Copy>(path: &Path, values: &[T], shape: &[u64]) {
    let file = std::fs::File::create(path).expect("created");
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(file)
        .begin_nd()
        .expect("a header");
    writer.extend(values.iter().copied()).expect("written");
    writer.finish().expect("finished");
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn array(&self, name: &str) -> ArrayPath {
        ArrayPath {
            path: self.0.path().join(name),
            ..ArrayPath::default()
        }
    }

    fn files(&self) -> Files {
        Files {
            inputs: self.array("x.npy").into(),
            targets: Some(self.array("y.npy")),
            ids: None,
            subset: None,
            group: None,
        }
    }

    fn check<X, Y>(
        &self,
        inputs: (&[X], &[u64]),
        targets: (&[Y], &[u64]),
        target: Target,
    ) -> Result<Samples>
    where
        X: Serialize + AutoSerialize + Copy,
        Y: Serialize + AutoSerialize + Copy,
    {
        let files = self.files();
        write(&self.array("x.npy").path, inputs.0, inputs.1);
        write(&self.array("y.npy").path, targets.0, targets.1);
        let samples = opened(&files)?.in_form(&forms(target), None, Precision::F32)?;
        samples.check(target)?;
        Ok(samples)
    }
}

fn opened(files: &Files) -> Result<SampleFiles> {
    SampleFiles::open(files, ClassOrder::Own, Readers::default())
}

/// The forms that sequential models read.
fn forms(target: Target) -> SampleForm {
    let form = |kind, rank| FieldForm { kind, rank };
    let targets = match target {
        Target::Class { .. } => form(FieldKind::Int, 1),
        _ => form(FieldKind::Float, 2),
    };
    SampleForm {
        inputs: vec![form(FieldKind::Float, 2)],
        targets: Some(targets),
    }
}

#[test]
fn samples_become_rows_and_targets_what_the_loss_takes() -> Result<()> {
    let folder = Folder::new();
    let samples = folder.check(
        (&[1_u8, 2, 3, 4], &[2, 1, 2]),
        (&[0_u8, 1], &[2]),
        Target::Class { classes: 2 },
    )?;
    let batch = samples.batch(1..2)?;
    assert_eq!(batch.fields()[0], Values::new(vec![3.0_f32, 4.0], &[1, 2])?);
    assert_eq!(batch.fields()[1], Values::new(vec![1_i64], &[1])?);
    let samples = folder.check(
        (&[1.0_f64, 2.0], &[2]),
        (&[5_i16, -6], &[2]),
        Target::Values { outputs: 1 },
    )?;
    assert_eq!(
        samples.batch(0..2)?.fields()[1],
        Values::new(vec![5.0_f32, -6.0], &[2, 1])?
    );
    Ok(())
}

#[test]
fn other_classes_take_the_place_of_those_in_the_file() -> Result<()> {
    let samples = Folder::new().check(
        (&[1_u8, 2, 3, 4], &[2, 2]),
        (&[0_u8, 1], &[2]),
        Target::Class { classes: 3 },
    )?;
    let changed = samples.relabelled(vec![2, 1])?;
    let expected = Values::new(vec![2_i64, 1], &[2])?;
    assert_eq!(changed.batch(0..2)?.fields()[1], expected);
    assert_eq!(changed.gather(&[1])?, samples.gather(&[1])?);
    assert!(samples.relabelled(vec![2]).is_err());
    Ok(())
}

#[test]
fn misfits_name_file_and_row() {
    let folder = Folder::new();
    let x: (&[f32], &[u64]) = (&[1.0, 2.0, 3.0], &[3, 1]);
    let cases = [
        (
            folder.check(x, (&[0_i64, 1, 2], &[3]), Target::Class { classes: 2 }),
            "y.npy: row 2 (counted from 0) has class 2",
        ),
        (
            folder.check(x, (&[0_i64, -1, 2], &[3]), Target::Class { classes: 3 }),
            "y.npy: row 1 (counted from 0) has class -1",
        ),
        (
            folder.check(
                x,
                (&[0.0_f32, 1.0, 2.0], &[3]),
                Target::Class { classes: 3 },
            ),
            "y.npy: targets must be integers of shape (n), got floating-point numbers",
        ),
        (
            folder.check(x, (&[0_i64; 6], &[3, 2]), Target::Class { classes: 3 }),
            "y.npy: targets must have shape (n), got [3, 2]",
        ),
        (
            folder.check(x, (&[0.0_f32, 1.0], &[2]), Target::Values { outputs: 1 }),
            "y.npy",
        ),
        (
            folder.check(
                x,
                (&[0.0_f32, 1.0, 2.0], &[3]),
                Target::Values { outputs: 2 },
            ),
            "y.npy: targets of mse have shape (n, 2)",
        ),
        (
            folder.check(
                x,
                (&[0.0_f32, f32::NAN, 2.0], &[3]),
                Target::Values { outputs: 1 },
            ),
            "y.npy: row 1",
        ),
        (
            folder.check(
                (&[1.0, f32::INFINITY, 3.0], &[3, 1]),
                (&[0_i64; 3], &[3]),
                Target::Class { classes: 1 },
            ),
            "x.npy: row 1",
        ),
        (
            folder.check(
                (&[1.0, 1e300, 3.0], &[3, 1]),
                (&[0_i64; 3], &[3]),
                Target::Class { classes: 1 },
            ),
            "x.npy: row 1",
        ),
        (
            folder.check::<f32, i64>((&[], &[0, 1]), (&[], &[0]), Target::Class { classes: 1 }),
            "x.npy: there are no samples",
        ),
        (
            folder.check::<f32, i64>((&[], &[1, 0]), (&[0], &[1]), Target::Class { classes: 1 }),
            "x.npy: the samples hold no numbers",
        ),
    ];
    for (outcome, part) in cases {
        let message = format!("{:#}", outcome.map(|_| ()).expect_err(part));
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
}

#[test]
fn tasks_read_images_and_tokens_as_they_are() -> Result<()> {
    let folder = Folder::new();
    let files = folder.files();
    write(
        &folder.array("x.npy").path,
        &[1_u8, 2, 3, 4, 5, 6, 7, 8],
        &[2, 2, 2],
    );
    write(&folder.array("y.npy").path, &[0_i64, 1], &[2]);
    let form = |kind, rank| FieldForm { kind, rank };
    let target = form(FieldKind::Int, 1);
    let shape = |input| -> Result<(Vec<usize>, &str)> {
        let form = SampleForm {
            inputs: vec![input],
            targets: Some(target),
        };
        let samples = opened(&files)?.in_form(&form, None, Precision::F64)?;
        let batch = samples.batch(0..2)?;
        let inputs = &batch.fields()[0];
        let kind = match inputs {
            Values::F32(_) => "f32",
            Values::F64(_) => "f64",
            Values::I64(_) => "i64",
            Values::Bool(_) => "bool",
        };
        Ok((inputs.shape().to_vec(), kind))
    };
    let float = |rank| shape(form(FieldKind::Float, rank));
    assert_eq!(float(2)?, (vec![2, 4], "f64"));
    assert_eq!(float(3)?, (vec![2, 2, 2], "f64"));
    assert_eq!(float(4)?, (vec![2, 1, 2, 2], "f64"));
    assert_eq!(shape(form(FieldKind::Int, 3))?, (vec![2, 2, 2], "i64"));
    assert_eq!(shape(form(FieldKind::Int, 2))?, (vec![2, 4], "i64"));
    assert!(float(5).is_err() && shape(form(FieldKind::Int, 5)).is_err());
    Ok(())
}

#[test]
fn there_are_targets_exactly_where_the_task_reads_some() -> Result<()> {
    let folder = Folder::new();
    let form = |kind, rank| FieldForm { kind, rank };
    let [alone, targeted] = [None, Some(form(FieldKind::Int, 2))].map(|targets| SampleForm {
        inputs: vec![form(FieldKind::Int, 2)],
        targets,
    });
    write(&folder.array("x.npy").path, &[3_i32, 1, 2, 4], &[2, 2]);
    write(&folder.array("y.npy").path, &[0_i64, 1, -100, 1], &[2, 2]);
    let with = folder.files();
    let without = Files {
        targets: None,
        ..folder.files()
    };
    let samples = opened(&without)?.in_form(&alone, None, Precision::F32)?;
    samples.check(Target::Any)?;
    let batch = samples.batch(1..2)?;
    assert_eq!(batch.fields(), [Values::new(vec![2_i64, 4], &[1, 2])?]);
    samples.check_entries(0, 5)?;
    let error = format!(
        "{:#}",
        samples.check_entries(0, 4).expect_err("4 is no row")
    );
    assert!(error.contains("x.npy: row 1 holds 4"), "{error}");
    let samples = opened(&with)?.in_form(&targeted, None, Precision::F32)?;
    let positions = |classes, positions, ignore| {
        samples.check(Target::Positions {
            classes,
            positions,
            ignore,
        })
    };
    positions(2, 2, Some(-100))?;
    for (outcome, part) in [
        (
            positions(2, 2, None),
            "row 1, position 0 (both counted from 0) has class -100",
        ),
        (positions(1, 2, Some(-100)), "row 0, position 1"),
        (positions(2, 3, Some(-100)), "have shape (n, 3)"),
        (
            opened(&without)?
                .in_form(&targeted, None, Precision::F32)
                .map(|_| ()),
            "missing key `targets`",
        ),
        (
            opened(&with)?
                .in_form(&alone, None, Precision::F32)
                .map(|_| ()),
            "reads no targets",
        ),
    ] {
        let error = format!("{:#}", outcome.expect_err(part));
        assert!(error.contains(part), "{error}");
    }
    Ok(())
}

#[test]
fn truth_values_and_probabilities_are_read_from_numbers() -> Result<()> {
    let folder = Folder::new();
    let form = |kind, rank| FieldForm { kind, rank };
    let forms = SampleForm {
        inputs: vec![form(FieldKind::Bool, 2)],
        targets: Some(form(FieldKind::Float, 2)),
    };
    write(&folder.array("x.npy").path, &[1_u8, 0, 2, 1], &[2, 2]);
    write(&folder.array("y.npy").path, &[0.5_f32, 1.25], &[2]);
    let samples = opened(&folder.files())?.in_form(&forms, None, Precision::F32)?;
    let batch = samples.batch(0..2)?;
    let truths = Values::new(vec![true, false, true, true], &[2, 2])?;
    assert_eq!(batch.fields()[0], truths);
    let outcome = samples.check(Target::Probabilities { outputs: 1 });
    let error = format!("{:#}", outcome.expect_err("above 1"));
    assert!(
        error.contains("row 1 (counted from 0) holds 1.25"),
        "{error}"
    );
    Ok(())
}

#[test]
fn rows_are_chosen_with_their_names() -> Result<()> {
    let folder = Folder::new();
    write(
        &folder.array("x.npy").path,
        &[0.0_f32, 10.0, 20.0, 30.0],
        &[4, 1],
    );
    write(&folder.array("y.npy").path, &[0_i64, 1, 0, 7], &[4]);
    let text = |name: &str, text: &str| {
        std::fs::write(folder.array(name).path, text).expect("written");
        Some(folder.array(name))
    };
    let open = |ids, subset| {
        let files = Files {
            ids,
            subset,
            ..folder.files()
        };
        opened(&files)
    };
    let target = Target::Class { classes: 2 };
    let samples = |source: SampleFiles| source.in_form(&forms(target), None, Precision::F32);
    let some = samples(open(None, text("rows.txt", "2\n0\n"))?)?;
    assert_eq!(some.len(), 2);
    assert_eq!(
        some.batch(0..2)?.fields()[0],
        Values::new(vec![20.0_f32, 0.0], &[2, 1])?
    );
    assert_eq!(some.id(0), Some("2".to_owned()));
    assert_eq!(
        some.gather(&[1, 0])?.fields()[0],
        Values::new(vec![0.0_f32, 20.0], &[2, 1])?
    );
    some.check(target)?;
    // Messages name the row of the file.
    let bad = samples(open(None, text("bad.txt", "0\n3\n"))?)?;
    let error = format!("{:#}", bad.check(target).expect_err("class 7"));
    assert!(
        error.contains("row 3 (counted from 0) has class 7"),
        "{error}"
    );
    let ids = text("ids.txt", "a\nb\nc\nd");
    let named = samples(open(ids, text("rows.txt", "2\n0\n"))?)?;
    assert_eq!(
        named.labels(),
        Some(Labels::Names(vec!["c".into(), "a".into()]))
    );
    let mut table = text("t.csv", "id,x\n7,0.5\n9,1\n8,2\n5,3\n");
    if let Some(column) = &mut table {
        column.part = Some("id".into());
    }
    let numbered = samples(open(table, None)?)?;
    assert_eq!(numbered.labels(), Some(Labels::Numbers(vec![7, 9, 8, 5])));
    for (ids, subset, expected) in [
        (text("few.txt", "a\nb"), None, "expected 4 names"),
        (None, text("far.txt", "4"), "far.txt"),
        (
            None,
            text("words.txt", "1\nx"),
            "line 2: expected a row, got `x`",
        ),
        (None, text("none.txt", ""), "lists no rows"),
        (None, text("negative.txt", "-1"), "got -1"),
    ] {
        let error = format!("{:#}", open(ids, subset).expect_err(expected));
        assert!(error.contains(expected), "{error}");
    }
    Ok(())
}

/// Six points of three classes, of which one has a single point, in groups.
fn grouped(group: &str, more: &[(&str, &str)]) -> Result<Option<GroupedSamples>> {
    let folder = Folder::new();
    let inputs: Vec<f32> = (0..7_u8).map(f32::from).collect();
    write(&folder.array("x.npy").path, &inputs, &[7, 1]);
    write(
        &folder.array("y.npy").path,
        &[2_i64, 0, 2, 0, 0, 3, 9],
        &[7],
    );
    for (name, text) in more {
        std::fs::write(folder.array(name).path, text)?;
    }
    std::fs::write(folder.array("rows.txt").path, "5\n0\n1\n2\n3\n4\n")?;
    let group = group.replace("AT/", &format!("{}/", folder.0.path().display()));
    let table: toml::Table = format!("group = {group}").parse()?;
    let files = Files {
        subset: Some(folder.array("rows.txt")),
        group: Some(table["group"].clone().try_into()?),
        ..folder.files()
    };
    let target = Target::Class { classes: 4 };
    let samples = opened(&files)?.in_form(&forms(target), None, Precision::F32)?;
    let names = ["a", "b", "c", "d"].map(str::to_owned);
    samples.grouped(Take::Mean, Some(&names))
}

fn names(names: &[&str]) -> Labels {
    Labels::Names(names.iter().map(|&name| name.to_owned()).collect())
}

#[test]
fn points_are_grouped_by_class_by_label_or_all_together() -> Result<()> {
    let of = |group: &str, more: &[(&str, &str)]| -> Result<(Vec<f64>, Vec<f64>, Labels)> {
        let GroupedSamples {
            samples,
            groups,
            labels,
        } = grouped(group, more)?.expect("groups");
        let batch = samples.batch(0..samples.len())?;
        let inputs = batch.fields()[0].floats().collect();
        assert_eq!(labels.len(), groups.len());
        Ok((inputs, groups.weights().to_vec(), labels))
    };
    // In the order of the subset, which begins with row 5.
    let (inputs, weights, labels) = of("\"mean\"", &[])?;
    assert_eq!(inputs, [5.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!((weights, labels), (vec![1.0 / 6.0; 6], names(&["mean"])));
    let (_, weights, labels) = of("\"sum\"", &[])?;
    assert_eq!((weights, labels), (vec![1.0; 6], names(&["sum"])));
    let (inputs, weights, labels) = of("\"class\"", &[])?;
    assert_eq!(inputs, [1.0, 3.0, 4.0, 0.0, 2.0, 5.0]);
    let third = 1.0 / 3.0;
    assert_eq!(weights, [third, third, third, 0.5, 0.5, 1.0]);
    assert_eq!(labels, names(&["a", "c", "d"]), "class b has no point");
    let by = |text| [("by.txt", text)];
    let labelled = "{ by = \"AT/by.txt\", take = \"sum\" }";
    let (inputs, weights, labels) = of(labelled, &by("z\nb\nz\nb\nz\na\nnone\n"))?;
    assert_eq!(inputs, [5.0, 1.0, 3.0, 0.0, 2.0, 4.0]);
    assert_eq!((weights, labels), (vec![1.0; 6], names(&["a", "b", "z"])));
    let (inputs, _, labels) = of(labelled, &by("10\n9\n10\n9\n9\n9\n1\n"))?;
    assert_eq!(inputs, [5.0, 1.0, 3.0, 4.0, 0.0, 2.0]);
    assert_eq!(labels, Labels::Numbers(vec![9, 10]));
    let weighted = "{ by = \"class\", weights = \"AT/w.csv\" }";
    let file = [("w.csv", "w\n1\n2\n3\n0\n6\n-4\n7\n")];
    let error = format!("{:#}", of(weighted, &file).expect_err("a mean of -4"));
    assert!(error.contains("group `d` add up to -4"), "{error}");
    let file = [("w.csv", "w\n1\n2\n3\n0\n6\n4\n7\n")];
    let (_, weights, _) = of(weighted, &file)?;
    assert_eq!(weights, [0.25, 0.0, 0.75, 0.25, 0.75, 1.0]);
    Ok(())
}

#[test]
fn groups_that_do_not_fit_are_refused_by_name() {
    for (group, more, expected) in [
        (
            "\"median\"",
            &[][..],
            "expected \"mean\", \"sum\", \"class\" or a table",
        ),
        ("{ take = \"max\" }", &[], "max"),
        ("{ by = \"AT/none.npy\" }", &[], "group: by"),
        (
            "{ by = \"AT/l.txt\" }",
            &[("l.txt", "a\nb\n")],
            "expected 7 labels",
        ),
        (
            "{ weights = \"AT/w.csv\" }",
            &[("w.csv", "w\n1\n2\n")],
            "expected 7 numbers",
        ),
    ] {
        let error = format!("{:#}", grouped(group, more).expect_err(group));
        assert!(error.contains(expected), "{group}: {error}");
    }
}
