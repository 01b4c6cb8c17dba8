//! `influence evaluate`: influences held against retraining.

mod shown;

use std::{fs, io::Write, time::Instant};

use anyhow::{Context, Result, ensure};
use influence_jobs::{
    config::{Config, MethodName},
    evaluation::{Best, Brittleness, Contest, Lds, LooRequest, Removal, Studies, TailPatch},
    models::Models,
    output::{is_url, write_whole},
    retraining::{Absence, Beginning},
};
use serde_json::json;

use super::configuration::granted;
use crate::{
    args::EvaluateArguments,
    listing::ListingFormat,
    report::evaluation::{EvaluationPage, check},
    session::Session,
};

/// Seeds of each retraining, where none are given.
const SEEDS: usize = 5;

/// Retrains, rates the method and others, and prints how well they predict.
///
/// # Errors
/// When the configuration does not describe a model that can be trained, or whatever a training or
/// a computation reports.
pub(super) fn run(
    arguments: &EvaluateArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let started = Instant::now();
    let destination = arguments.listing.destination()?;
    check(&arguments.page, arguments.listing.overwrite)?;
    let config = configured(arguments, &[])?;
    let request = request(arguments, &config)?;
    let curvature = config
        .method()?
        .curved()
        .map(|curved| curved.curvature.name());
    let swept = arguments.swept(curvature);
    let swept = swept
        .into_iter()
        .map(|setting| configured(arguments, &[setting]));
    let swept: Vec<Config> = swept.collect::<Result<_>>()?;
    let mut contest = Contest::new(config.clone(), arguments.rows, models, session)?.against(swept);
    if !arguments.no_baselines {
        contest = contest.against_baselines();
    }
    let found = request.evaluate(&contest)?;
    if !request.share.is_whole() {
        return session.print(|| {
            let bank = request.bank.display();
            Ok(writeln!(
                out,
                "share           {} of the retrainings is in {bank}",
                request.share
            )?)
        });
    }
    let best = found.first().filter(|_| arguments.sweep).and_then(Best::of);
    session.print(|| {
        destination.write(out, |out| match destination.format {
            ListingFormat::Table => shown::print(&found, best.as_ref(), out),
            ListingFormat::Json => {
                serde_json::to_writer_pretty(&mut *out, &json!({"studies": found, "best": best}))?;
                Ok(writeln!(out)?)
            }
            format => shown::listing(&found).write(format, out),
        })
    })?;
    let page = EvaluationPage {
        config: &config,
        parameters: contest.parameters(),
        shape: contest.shape(),
        found: &found,
        started,
    };
    let written = page.write(&arguments.page)?;
    if arguments.listing.file.is_none() && destination.format != ListingFormat::Table {
        session.remark(&written);
    } else {
        session.print(|| written.iter().try_for_each(|line| writeln!(out, "{line}")))?;
    }
    match best {
        Some(best) if arguments.write => write(arguments, &best, session),
        _ => Ok(()),
    }
}

/// The configuration, with these settings beside those of the command line.
fn configured(arguments: &EvaluateArguments, settings: &[String]) -> Result<Config> {
    let set = [arguments.set.as_slice(), settings].concat();
    granted(
        &arguments.config,
        &set,
        arguments.memory,
        arguments.threads.count,
    )
}

/// What is asked for.
fn request(arguments: &EvaluateArguments, config: &Config) -> Result<Studies> {
    ensure!(
        arguments.seeds != Some(0),
        "--seeds 0: a retraining takes a seed; give 1 or more"
    );
    let first = arguments.first_seed.unwrap_or(config.seed);
    let seeds = |default| (first..).take(arguments.seeds.unwrap_or(default)).collect();
    let output = &config.output.path;
    ensure!(
        arguments.bank.is_some() || !is_url(output),
        "the output is a URL; name a folder for the retrainings with --bank"
    );
    let beginning = if arguments.from_scratch {
        Beginning::Scratch
    } else {
        Beginning::Trained
    };
    let absence = if arguments.in_place {
        Absence::Weightless
    } else {
        Absence::Removed
    };
    let removed = counts("--removal", &arguments.removal)?;
    let brittle = counts("--brittleness", &arguments.brittleness)?;
    Ok(Studies {
        lds: arguments.lds.map(|subsets| Lds {
            subsets,
            fraction: arguments.fraction,
            absence,
            seeds: seeds(SEEDS),
        }),
        loo: arguments.loo.map(|points| LooRequest {
            points,
            absence,
            seeds: seeds(1),
            beginning,
        }),
        pbrf: arguments.pbrf,
        tail_patch: arguments.tail_patch.map(|points| TailPatch { points }),
        removal: removed.map(|counts| Removal {
            counts,
            absence,
            seeds: seeds(SEEDS),
        }),
        brittleness: brittle.map(|counts| Brittleness {
            counts,
            absence,
            seeds: seeds(SEEDS),
        }),
        flip: arguments.flip,
        bank: arguments.bank(output),
        share: arguments.share.unwrap_or_default(),
    })
}

/// Numbers of points in ascending order, once each; none where none are given.
fn counts(option: &str, given: &[usize]) -> Result<Option<Vec<usize>>> {
    let mut counts = given.to_vec();
    counts.sort_unstable();
    counts.dedup();
    ensure!(
        counts.first() != Some(&0),
        "{option} 0: nothing would be removed; give 1 or more"
    );
    Ok(Some(counts).filter(|counts| !counts.is_empty()))
}

/// Puts the best method and its damping into the configuration.
fn write(arguments: &EvaluateArguments, best: &Best<'_>, session: &Session) -> Result<()> {
    let path = &arguments.config;
    let shown = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(shown)?;
    let name = MethodName::of(best.name).context("a method of this name")?;
    let changed = Config::with_method(&text, name, best.damping).with_context(shown)?;
    write_whole(path, changed.as_bytes())?;
    session.remark(&[format!(
        "wrote method.name = \"{}\"{} to {}",
        best.name,
        best.damping.map_or_else(String::new, |damping| format!(
            " and method.damping = {damping}"
        )),
        shown()
    )]);
    Ok(())
}
