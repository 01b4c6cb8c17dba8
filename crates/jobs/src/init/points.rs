//! The points that a proposal is for.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use influence_data::{ArrayPath, ClassOrder, Files, InputFiles, SampleFiles, test_points};

use super::{
    data::ProposedData,
    request::Request,
    written::{self, WrittenPoints},
};
use crate::readers::readers;

/// The points that are given: of both sides or of the training side alone, or all together.
pub(super) struct GivenPoints {
    pub(super) train: PointsFound,
    pub(super) test: Option<PointsFound>,
}

impl GivenPoints {
    pub(super) fn open(request: &Request) -> Result<Self> {
        if !request.all.is_empty() {
            let train = PointsFound::open(&request.all, request, ClassOrder::Own);
            let train = train.context("--all")?;
            return Ok(Self { train, test: None });
        }
        let train = PointsFound::open(&request.train, request, ClassOrder::Own);
        let train = train.context("--train")?;
        let order = ClassOrder::of_training(train.names.as_deref());
        let test = (!request.test.is_empty())
            .then(|| PointsFound::open(&request.test, request, order).context("--test"));
        let test = test.transpose()?;
        Ok(Self { train, test })
    }

    /// What was found on either side, in sentences.
    pub(super) fn found(&self) -> Vec<String> {
        let sides = [Some(&self.train), self.test.as_ref()];
        sides
            .into_iter()
            .flatten()
            .flat_map(|points| points.source.found())
            .collect()
    }

    /// As they are written, with the inputs under these keys.
    pub(super) fn data(
        &self,
        request: &Request,
        base: &Path,
        keyed: impl Fn(&InputFiles) -> InputFiles,
    ) -> ProposedData {
        let written = |points: &PointsFound| {
            let Files {
                inputs, targets, ..
            } = &points.files;
            WrittenPoints::new(&keyed(inputs), targets.as_ref(), base)
        };
        match &self.test {
            Some(test) => ProposedData::Apart {
                train: written(&self.train),
                test: written(test),
            },
            None if request.all.is_empty() => ProposedData::Alone {
                train: written(&self.train),
            },
            None => ProposedData::Together {
                all: written(&self.train),
                test: request.split,
            },
        }
    }

    /// How many there are on either side.
    pub(super) fn points(&self, request: &Request) -> [usize; 2] {
        let all = self.train.count;
        if let Some(test) = &self.test {
            return [all, test.count];
        }
        if request.all.is_empty() {
            // Each training point is solved for itself.
            return [all; 2];
        }
        let tests = test_points(all, request.split).min(all);
        [all - tests, tests]
    }
}

/// The inputs and targets of one side.
pub(super) struct PointsFound {
    pub(super) source: SampleFiles,
    pub(super) files: Files,
    /// How many points there are.
    pub(super) count: usize,
    pub(super) shape: Vec<usize>,
    /// Of one target, if there are some.
    pub(super) target_shape: Option<Vec<usize>>,
    /// Whether the first of the inputs, and the targets, are stored as integers.
    pub(super) integers: [bool; 2],
    /// The names of the classes in the order of their numbers.
    pub(super) names: Option<Vec<String>>,
}

impl PointsFound {
    /// Classes that have names get their numbers from `order`.
    fn open(paths: &[String], request: &Request, order: ClassOrder<'_>) -> Result<Self> {
        let (form, network) = (request.form, request.onnx.is_some());
        ensure!(
            paths.len() == 2 || (network && paths.len() == 1),
            "expected two arrays, inputs and targets, got {}",
            paths.len()
        );
        let targets = paths.get(1).map(|path| ArrayPath {
            form,
            ..ArrayPath::from(path.clone())
        });
        let files = Files {
            inputs: written::inputs(&paths[0], form, network)?,
            targets,
            ids: None,
            subset: None,
            group: None,
        };
        let source = SampleFiles::open(&files, order, readers())?;
        Ok(Self {
            count: source.len(),
            shape: source.sample_shape(),
            target_shape: source.target_shape(),
            integers: [source.have_integers()?[0], source.has_integer_targets()?],
            names: source.classes().map(<[String]>::to_vec),
            files: source.files().clone(),
            source,
        })
    }

    /// The file of the targets, as messages call it.
    pub(super) fn targets(&self) -> String {
        let targets = self.files.targets.as_ref();
        targets.map_or_else(String::new, ToString::to_string)
    }

    /// A class by its name, or by its number where it has none.
    pub(super) fn named(&self, class: i64) -> String {
        let place = usize::try_from(class).ok();
        let name = place.and_then(|place| self.names.as_ref()?.get(place).cloned());
        name.unwrap_or_else(|| class.to_string())
    }
}
