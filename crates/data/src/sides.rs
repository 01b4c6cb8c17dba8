//! Both sides of a data set, opened, held against each other and scaled.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use influence_core::{FieldSource, Scale, Values};

use crate::{
    array_path::ArrayPath,
    hints,
    key::{AtKey, KeyError},
    labels::ClassOrder,
    names,
    open::beside,
    readers::Readers,
    sample_files::{InputShape, SampleFiles},
    samples::{Samples, Target},
    settings::{Data, ScaleSetting, Sides},
    split,
    targets::{Targets, targets},
};

/// Opens both sides of a configuration: training and test points, split and scaled as it says.
///
/// Classes that have names have the numbers of `data.classes` on both sides, without it those of
/// the training points.
///
/// Where it names no test points, each training point is one: self-influences are of points on
/// themselves.
///
/// # Errors
/// When a file cannot be used; when the two sides have samples of different shapes, a class on one
/// side is unknown, or a selection or scale does not fit.
pub fn open(data: &Data, readers: Readers) -> Result<[SampleFiles; 2]> {
    let listed = data.classes.as_ref().map(names::classes);
    let listed = listed.transpose().at_key("data.classes")?;
    let order = listed
        .as_deref()
        .map_or(ClassOrder::Own, |classes| ClassOrder::Listed {
            key: "data.classes",
            classes,
        });
    let [train, test] = match data.sides()? {
        Sides::Apart { train, test } => {
            let train = SampleFiles::open(train, order, readers).at_key("data.train")?;
            let order = match order {
                ClassOrder::Own => ClassOrder::of_training(train.classes()),
                listed => listed,
            };
            let test = test.map(|test| SampleFiles::open(test, order, readers).at_key("data.test"));
            let test = test.unwrap_or_else(|| Ok(train.clone()))?;
            ensure!(
                listed.is_some() || train.classes().is_none() || test.classes().is_some(),
                KeyError::new(
                    "data.test",
                    "the classes have numbers here but names in data.train; list the names in data.classes, in the order of the numbers"
                )
            );
            [train, test]
        }
        Sides::Together { all, split } => {
            let all = SampleFiles::open(all, order, readers).at_key("data.all")?;
            let [train, test] = split::split(all.len(), split)?;
            [all.select(&train)?, all.select(&test)?]
        }
    };
    check_alike(&train, &test)?;
    let Some(setting) = &data.scale else {
        return Ok([train, test]);
    };
    let scales = scales(&train, setting).at_key("data.scale")?;
    let scaled = |side: SampleFiles| side.scaled(&scales).at_key("data.scale");
    Ok([scaled(train)?, scaled(test)?])
}

/// The scale of each input that is scaled: of the only one, or of those that are stored as
/// floating-point numbers.
fn scales(train: &SampleFiles, setting: &ScaleSetting) -> Result<Vec<Option<Scale>>> {
    let integers = train.have_integers()?;
    let is_scaled = |integers: bool| train.inputs.len() == 1 || !integers;
    ensure!(
        integers.iter().any(|&integers| is_scaled(integers)),
        "none of the inputs is stored as floating-point numbers, and integers are not scaled where there are several inputs"
    );
    let scale = |field: &dyn FieldSource| match setting {
        ScaleSetting::Standard => Scale::standard(field),
        ScaleSetting::MinMax => Scale::min_max(field),
        ScaleSetting::Given(scale) => Ok(scale.clone()),
    };
    let each = train.inputs.iter().zip(integers);
    each.map(|(input, integers)| {
        let scale = is_scaled(integers).then(|| scale(&*input.field));
        Ok(scale.transpose()?)
    })
    .collect()
}

/// Refuses sides whose samples differ in their inputs.
fn check_alike(train: &SampleFiles, test: &SampleFiles) -> Result<()> {
    let [of_train, of_test] = [train, test].map(SampleFiles::input_shapes);
    let shown = |inputs: &[InputShape]| {
        let keys = inputs.iter().map(|input| input.key.to_string());
        keys.collect::<Vec<_>>().join(", ")
    };
    ensure!(
        of_train
            .iter()
            .map(|input| &input.key)
            .eq(of_test.iter().map(|input| &input.key)),
        KeyError::new(
            "data.test",
            format!(
                "expected the inputs of data.train, {}, got {}",
                shown(&of_train),
                shown(&of_test)
            )
        )
    );
    let files = train.files.inputs.iter().zip(test.files.inputs.iter());
    for ((here, there), (train_file, test_file)) in of_train.iter().zip(&of_test).zip(files) {
        ensure!(
            here.shape == there.shape,
            KeyError::new(
                "data.test",
                format!(
                    "samples have shape {:?} in {}, but {:?} in {}",
                    there.shape, test_file.array, here.shape, train_file.array
                )
            )
        );
    }
    for place in 0..of_train.len() {
        check_columns(place, train, test)?;
    }
    Ok(())
}

/// Refuses an input of whose columns one has another place on the other side.
fn check_columns(input: usize, train: &SampleFiles, test: &SampleFiles) -> Result<()> {
    let columns = |side: &SampleFiles| side.inputs[input].columns.clone();
    let (Some(of_train), Some(of_test)) = (columns(train), columns(test)) else {
        return Ok(());
    };
    let file = |side: &SampleFiles| {
        let mut files = side.files.inputs.iter();
        files
            .nth(input)
            .map_or_else(String::new, |file| file.array.to_string())
    };
    let place = |name: &String| of_test.iter().position(|other| other == name);
    let mut placed = of_train.iter().enumerate();
    let moved = placed.find_map(|(here, name)| {
        let there = place(name).filter(|there| *there != here)?;
        Some((name, here, there))
    });
    match moved {
        None => Ok(()),
        Some((name, here, there)) => bail!(KeyError::new(
            "data.test",
            format!(
                "column `{name}` is number {there} (counted from 0) of {}, but number {here} of {}; name the columns of both in one order, such as FILE#a,b",
                file(test),
                file(train)
            )
        )),
    }
}

/// The names of the classes of a configuration, if there are any: those of `data.classes`, or those
/// of the training points.
///
/// # Errors
/// When the file with the names cannot be read, or there are not as many names as classes.
pub fn class_names(data: &Data, target: Target, train: &Samples) -> Result<Option<Vec<String>>> {
    let Some(names) = &data.classes else {
        return Ok(train.classes().map(<[String]>::to_vec));
    };
    let names = names::classes(names).at_key("data.classes")?;
    if let Target::Class { classes } = target {
        ensure!(
            names.len() == classes,
            KeyError::new(
                "data.classes",
                format!(
                    "expected {classes} names, one for each output of the model, got {}",
                    names.len()
                )
            )
        );
    }
    Ok(Some(names))
}

/// All classes of an array, or of names that have numbers in an order; `expected` of them, if it is
/// not clear whether a first line is one.
///
/// # Errors
/// When there is no such array, it has more than one axis, holds anything but class numbers, or a
/// name has no number.
pub fn classes(
    path: &ArrayPath,
    order: ClassOrder<'_>,
    expected: usize,
    readers: Readers,
) -> Result<Vec<usize>> {
    let open = |at: &ArrayPath| -> Result<(Targets, usize)> {
        let targets = targets(at, readers)?;
        let rows = targets.len();
        Ok((targets, rows))
    };
    let array: Arc<dyn FieldSource> = match beside(path, expected, &mut Vec::new(), open)? {
        Targets::Numbers(array) => array.field,
        Targets::Names { labels, .. } => Arc::new(labels.numbered(order)?.1),
    };
    ensure!(
        matches!(array.shape(), [_] | [_, 1]),
        "{path}: expected class numbers of shape (n), got {:?}",
        array.shape()
    );
    let Values::I64(values) = array.rows(0..array.shape()[0])? else {
        bail!("{path}: class numbers are integers");
    };
    let values: Vec<i64> = values.into_iter().collect();
    let class = |(row, &value): (usize, &i64)| {
        usize::try_from(value).with_context(|| {
            let hint = hints::of_classes(&values, values.len());
            format!("{path}: row {row} (counted from 0) has class {value}{hint}")
        })
    };
    values.iter().enumerate().map(class).collect()
}
