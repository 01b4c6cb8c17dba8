//! Which studies are done, and where their retrainings are kept.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use influence_calculators::Share;
use influence_data::key::KeyError;
use ndarray::Array3;

use super::{
    attribution::Contest, brittleness::Brittleness, flip::Flipped, lds::Lds, loo::LeaveOneOut,
    outcome::Evaluation, pbrf::Unlearning, removal::Removal, tail_patch::TailPatch,
};
use crate::{
    retraining::{Absence, Bank, Beginning, Outcome, Retraining, Study, Subset},
    watch::Host,
};

/// The studies that are wanted.
#[derive(Debug)]
pub struct Studies {
    /// The linear datamodelling score.
    pub lds: Option<Lds>,
    /// Points that are left out one at a time.
    pub loo: Option<LooRequest>,
    /// How many points are unlearnt, one at a time.
    pub pbrf: Option<usize>,
    /// Steps on the most helpful points.
    pub tail_patch: Option<TailPatch>,
    /// Removal curves.
    pub removal: Option<Removal>,
    /// How few points change a prediction.
    pub brittleness: Option<Brittleness>,
    /// The share of the labels that are changed.
    pub flip: Option<f64>,
    /// The folder of the bank; trainings that go on from trained weights have one beside it.
    pub bank: PathBuf,
    /// The share of the retrainings that is done here; only of the whole is anything rated.
    pub share: Share,
}

/// Leave-one-out retraining.
#[derive(Debug, Clone)]
pub struct LooRequest {
    /// How many points are left out.
    pub points: usize,
    /// How a training is without one.
    pub absence: Absence,
    /// The seeds of each training.
    pub seeds: Vec<u64>,
    /// At which weights trainings begin.
    pub beginning: Beginning,
}

impl Studies {
    /// Does the studies, one after another.
    ///
    /// # Errors
    /// When retrainings are another's, whatever a training or a computation reports.
    pub fn evaluate(&self, contest: &Contest<'_>) -> Result<Vec<Evaluation>> {
        self.check_models(contest)?;
        let config = contest.configured();
        if config.model.members().len() == 1 && self.rates_trainings_of(config.seed) {
            check_training(contest)?;
        }
        let mut found = Vec::new();
        if let Some(lds) = &self.lds {
            let study = lds.study(contest.points, contest.seed())?;
            let truth = self.truth(contest, Beginning::Scratch, &study.seeds)?;
            if let Some(losses) = truth.losses(&study)? {
                found.push(lds.rate(contest, &study, &losses)?);
            }
        }
        if let Some(loo) = &self.loo {
            let left_out = LeaveOneOut::choose(contest, loo.points, loo.absence)?;
            let study = left_out.study(contest.points, loo.seeds.clone())?;
            let truth = self.truth(contest, loo.beginning, &study.seeds)?;
            if let Some(losses) = truth.losses(&study)? {
                found.push(left_out.rate(contest, &study, &losses)?);
            }
        }
        if let Some(points) = self.pbrf {
            ensure!(
                self.share.is_whole(),
                "--pbrf retrains nothing of which there would be shares"
            );
            found.push(Unlearning::choose(contest, points)?.rate(contest)?);
        }
        if let Some(tail_patch) = self.tail_patch {
            ensure!(
                self.share.is_whole(),
                "--tail-patch retrains nothing of which there would be shares"
            );
            found.push(tail_patch.rate(contest)?);
        }
        if let Some(removal) = &self.removal {
            let truth = self.truth(contest, Beginning::Scratch, &removal.seeds)?;
            let rated = removal.rate(contest, &mut |study| truth.losses(study))?;
            found.extend(Some(rated).filter(|_| self.share.is_whole()));
        }
        if let Some(brittleness) = &self.brittleness {
            let truth = self.truth(contest, Beginning::Scratch, &brittleness.seeds)?;
            let rated = brittleness.rate(contest, &mut |study| truth.outcomes(study))?;
            found.extend(Some(rated).filter(|_| self.share.is_whole()));
        }
        if let Some(share) = self.flip {
            ensure!(
                self.share.is_whole(),
                "--flip trains one model, which has no shares"
            );
            found.push(Flipped::train(contest, share)?.rate(contest)?);
        }
        Ok(found)
    }

    /// Refuses an ensemble in studies that begin at the weights of one model, or train one.
    fn check_models(&self, contest: &Contest<'_>) -> Result<()> {
        let trains_on = |loo: &LooRequest| loo.beginning == Beginning::Trained;
        let of_one = [
            (
                self.loo.as_ref().is_some_and(trains_on),
                "--loo without --from-scratch",
            ),
            (self.pbrf.is_some(), "--pbrf"),
            (self.tail_patch.is_some(), "--tail-patch"),
            (self.flip.is_some(), "--flip"),
        ];
        let several = contest.configured().model.members().len() > 1;
        let asked = of_one.iter().find(|(is_asked, _)| *is_asked && several);
        asked.map_or(Ok(()), |(_, study)| {
            let wrong = format!("is a list, and {study} is about one model; name one of them");
            Err(KeyError::new("model.weights", wrong).into())
        })
    }

    /// The retrainings of these seeds, with what is known of them.
    fn truth<'a>(
        &'a self,
        contest: &'a Contest<'_>,
        beginning: Beginning,
        seeds: &[u64],
    ) -> Result<Truth<'a>> {
        let (config, models) = (contest.configured(), contest.models());
        let retraining = Retraining::beginning_at(beginning, config, models, seeds)?;
        let bank = Bank::open(&self.place(beginning), &retraining)?;
        Ok(Truth {
            retraining,
            bank,
            host: contest.host,
            share: self.share,
        })
    }

    /// Whether retrainings from scratch are rated, among them some of this seed.
    fn rates_trainings_of(&self, seed: u64) -> bool {
        let scratch = |loo: &&LooRequest| loo.beginning == Beginning::Scratch;
        let seeds = [
            self.lds.as_ref().map(|lds| &lds.seeds),
            self.loo.as_ref().filter(scratch).map(|loo| &loo.seeds),
            self.removal.as_ref().map(|removal| &removal.seeds),
            self.brittleness.as_ref().map(|brittle| &brittle.seeds),
        ];
        self.share.is_whole() && seeds.into_iter().flatten().any(|it| it.contains(&seed))
    }

    /// The folder of the bank of trainings that begin at these weights.
    fn place(&self, beginning: Beginning) -> PathBuf {
        match beginning {
            Beginning::Scratch => self.bank.clone(),
            Beginning::Trained => trained_on(&self.bank),
        }
    }
}

/// How far the measurements of a model may be from those after its training done again, relative to
/// all of them: rounding grows with the steps.
const SAME_MODEL: f64 = 0.01;

/// Retrainings, and what is known of them.
struct Truth<'a> {
    retraining: Retraining<'a>,
    bank: Bank,
    host: &'a dyn Host,
    share: Share,
}

impl Truth<'_> {
    /// The losses of a study `(subsets, seeds, k)`, trained where they are missing; none where a
    /// share alone is trained here.
    fn losses(&self, study: &Study) -> Result<Option<Array3<f64>>> {
        let losses = self
            .bank
            .losses(study, &self.retraining, self.share, self.host)?;
        Ok(Some(losses).filter(|_| self.share.is_whole()))
    }

    /// As [`losses`](Self::losses), with the classes that are predicted.
    fn outcomes(&self, study: &Study) -> Result<Option<Vec<Outcome>>> {
        let outcomes = self
            .bank
            .outcomes(study, &self.retraining, self.share, self.host)?;
        Ok(outcomes
            .into_iter()
            .collect::<Option<_>>()
            .filter(|_| self.share.is_whole()))
    }
}

/// Says if the model that is rated is not the one that its training gives: the retrainings are not
/// its own then.
fn check_training(contest: &Contest<'_>) -> Result<()> {
    let (config, all) = (contest.configured(), Subset::without(contest.points, &[])?);
    let retraining = Retraining::new(config, contest.models(), &[config.seed])?;
    let trained = retraining.outcome(&all, Absence::Removed, config.seed)?;
    let read = contest.job(config.clone())?;
    let read = retraining.outcome_of(read.member(0))?;
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|it| it * it).sum::<f64>();
    let pairs = trained.losses.iter().zip(&read.losses);
    let apart = squares(&mut pairs.map(|(a, b)| a - b)).sqrt();
    let apart = apart / squares(&mut read.losses.iter().copied()).sqrt();
    if apart.is_nan() || apart > SAME_MODEL {
        contest.host.watch().warn(&format!(
            "the training of the configuration, with the seed {}, gives another model than `model.weights`: what is measured on the test points differs by {:.1} %; the retrainings are about that model, and influences on this one are expected to score less; run `influence train`, or give [train] and seed the values that the model was trained with",
            config.seed,
            100.0 * apart
        ));
    }
    Ok(())
}

/// `influences.bank`: `influences.trained.bank`.
fn trained_on(bank: &Path) -> PathBuf {
    let ending = bank.extension().unwrap_or_default().to_string_lossy();
    match ending.as_ref() {
        "" => bank.with_extension("trained"),
        ending => bank.with_extension(format!("trained.{ending}")),
    }
}
