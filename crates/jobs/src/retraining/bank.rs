//! Retrainings that are kept in a folder: made once, used by every question.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, ensure};
use influence_calculators::{
    Location,
    zarr::{StoredBank, StoredRetraining, StoredStudy, StudyDesign},
};
use influence_core::Share;
use ndarray::{Array2, Array3};

use super::{Absence, Outcome, Retraining, Subset, threads};
use crate::watch::{Host, Interrupted, Stage};

/// A folder, or an object store, with the retrainings of one configuration; its layout is described
/// at [`influence_calculators::zarr`].
#[derive(Debug)]
pub struct Bank {
    path: PathBuf,
    stored: StoredBank,
}

/// Subsets, each trained with every seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Study {
    /// Its name in the bank: letters, digits, `-` and `_`.
    pub name: String,
    /// The training points of each training.
    pub subsets: Vec<Subset>,
    /// How a training is without the other points.
    pub absence: Absence,
    /// The seeds.
    pub seeds: Vec<u64>,
}

impl Bank {
    /// Opens the bank at a path or URL, or makes it there.
    ///
    /// # Errors
    /// When a bank of other retrainings is there, with the first difference; when the place is
    /// taken by anything else, or cannot be read or written to.
    pub fn open(path: &Path, retraining: &Retraining<'_>) -> Result<Self> {
        let location = Location::parse(&path.to_string_lossy())?;
        let stored = StoredBank::open(&location, &retraining.fingerprint()?)?;
        let path = path.to_owned();
        Ok(Self { path, stored })
    }

    /// The measurements of the test points after every retraining of a study,
    /// `(subsets, seeds, test)`. Those of this share of the study that are missing are computed
    /// before, one on each thread at a time; those of other shares that are missing are NaN.
    ///
    /// # Errors
    /// When the bank has another study of this name, a training fails, or the bank cannot be
    /// written to; [`Interrupted`] when the host cancels it.
    pub fn losses(
        &self,
        study: &Study,
        retraining: &Retraining<'_>,
        share: Share,
        host: &dyn Host,
    ) -> Result<Array3<f64>> {
        let outcomes = self.outcomes(study, retraining, share, host)?;
        let shape = (
            study.subsets.len(),
            study.seeds.len(),
            retraining.test_points(),
        );
        let missing = vec![f64::NAN; shape.2];
        let losses = outcomes
            .iter()
            .flat_map(|outcome| outcome.as_ref().map_or(&missing, |outcome| &outcome.losses));
        Ok(Array3::from_shape_vec(shape, losses.copied().collect())?)
    }

    /// As [`losses`](Self::losses), with the classes that are chosen: one outcome for each
    /// retraining, those of the first subset first.
    ///
    /// # Errors
    /// As [`losses`](Self::losses).
    pub fn outcomes(
        &self,
        study: &Study,
        retraining: &Retraining<'_>,
        share: Share,
        host: &dyn Host,
    ) -> Result<Vec<Option<Outcome>>> {
        let (seeds, all) = (study.seeds.len(), study.subsets.len() * study.seeds.len());
        ensure!(
            all > 0,
            "the study {} has no subsets or no seeds",
            study.name
        );
        let stored = self.stored(study, retraining)?;
        let read = |task: usize| -> Result<Option<Outcome>> {
            Ok(stored.read([task / seeds, task % seeds])?.map(outcome))
        };
        let mut outcomes = (0..all).map(read).collect::<Result<Vec<_>>>()?;
        let missing: Vec<usize> = share
            .of(all)
            .filter(|&task| outcomes[task].is_none())
            .collect();
        let (watch, cancellation) = (host.watch(), host.cancellation());
        watch.stage(Stage::Retrain);
        let done =
            AtomicUsize::new(all - outcomes.iter().filter(|outcome| outcome.is_none()).count());
        watch.retrained(done.load(Ordering::Relaxed), all);
        threads::each(
            missing.len(),
            retraining.threads(),
            cancellation,
            &|index| {
                let (subset, seed) = (missing[index] / seeds, missing[index] % seeds);
                let (points, seed_drawn) = (&study.subsets[subset], study.seeds[seed]);
                let outcome = retraining.outcome(points, study.absence, seed_drawn);
                let outcome = outcome.with_context(|| {
                    format!(
                        "study {}, subset {subset}, seed {}",
                        study.name, study.seeds[seed]
                    )
                })?;
                stored.write([subset, seed], &stored_as(&outcome)?)?;
                watch.retrained(done.fetch_add(1, Ordering::Relaxed) + 1, all);
                Ok(())
            },
        )?;
        for &task in &missing {
            outcomes[task] = read(task)?;
        }
        if cancellation.is_cancelled() && missing.iter().any(|&task| outcomes[task].is_none()) {
            return Err(Interrupted {
                done: done.into_inner(),
                total: all,
                output: self.path.clone(),
                advice: "run the same command again to go on",
            }
            .into());
        }
        Ok(outcomes)
    }

    fn stored(&self, study: &Study, retraining: &Retraining<'_>) -> Result<StoredStudy> {
        let points = retraining.train_points();
        let mut kept = Array2::from_elem((study.subsets.len(), points), false);
        for (subset, mut row) in study.subsets.iter().zip(kept.rows_mut()) {
            subset.check(points)?;
            subset.points().iter().for_each(|&point| row[point] = true);
        }
        Ok(self.stored.study(&StudyDesign {
            name: &study.name,
            kept: kept.view(),
            seeds: &study.seeds,
            test: retraining.test_points(),
        })?)
    }
}

fn outcome(stored: StoredRetraining) -> Outcome {
    let StoredRetraining { losses, classes } = stored;
    let classes = classes.map(|classes| classes.into_iter().map(usize::try_from).collect());
    Outcome {
        losses,
        classes: classes.and_then(Result::ok),
    }
}

fn stored_as(outcome: &Outcome) -> Result<StoredRetraining> {
    let numbers =
        |classes: &Vec<usize>| classes.iter().map(|&class| i32::try_from(class)).collect();
    Ok(StoredRetraining {
        losses: outcome.losses.clone(),
        classes: outcome.classes.as_ref().map(numbers).transpose()?,
    })
}
