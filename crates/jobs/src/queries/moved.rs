//! The files that an output was made from: looked for where they were, and beside an output that
//! was moved together with them.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use influence_data::{ArrayKey, ClassNames, Files, InputKey};
use serde_json::{Map, Value};

use crate::{
    config::{Config, Method, WeightFiles},
    digest,
    job::Job,
};

/// A file that a configuration names.
struct Named<'a> {
    /// The key, as `--set` takes it.
    key: String,
    /// Where its digest is among those of an output; names of classes have none.
    digest: Option<String>,
    path: &'a mut PathBuf,
}

/// The configuration with each file where it is now; digests decide, of those where there are
/// several.
///
/// # Errors
/// When a file is nowhere.
pub(super) fn found(
    mut config: Config,
    stored: &Map<String, Value>,
    output: Option<&Path>,
) -> Result<Config> {
    for Named { key, digest, path } in named(&mut config) {
        let digest = digest.and_then(|at| stored.get("digests")?.pointer(&at)?.as_str());
        if let Some(moved) = output.and_then(|output| moved(path, digest, output)) {
            tracing::info!(key, from = %path.display(), to = %moved.display(), "file was moved");
            *path = moved;
        }
        ensure!(
            path.exists(),
            "{key}: {} does not exist; say where it was moved to with --set {key}=...",
            path.display()
        );
    }
    Ok(config)
}

/// Refuses files that are no longer those that an output was made from, naming the first of them.
///
/// # Errors
/// When there is one, or a file cannot be read.
pub fn check_digests(stored: &Map<String, Value>, job: &Job) -> Result<()> {
    let now = job.attributes()?;
    let [stored, now] = [stored, &now].map(|attributes| attributes.get("digests"));
    if stored == now {
        return Ok(());
    }
    let mut config = job.config.clone();
    let changed = named(&mut config).into_iter().find(|named| {
        let digest = named.digest.as_ref();
        digest.is_some_and(|at| {
            let of =
                |digests: Option<&Value>| digests.and_then(|digests| digests.pointer(at)).cloned();
            of(stored) != of(now)
        })
    });
    match changed {
        Some(Named { key, path, .. }) => bail!(
            "{} has changed since the output was written; restore it, or name the original file with --set {key}=...",
            path.display()
        ),
        None => bail!("the output was made from other files than the configuration names now"),
    }
}

/// Where a file is that was moved together with an output: at the same place relative to it, or
/// beside it.
fn moved(stored: &Path, digest: Option<&str>, output: &Path) -> Option<PathBuf> {
    let others: Vec<PathBuf> = beside(stored, output);
    let is_it = |path: &Path| {
        digest.is_none_or(|digest| digest::of_input(path).is_ok_and(|own| own == digest))
    };
    if stored.exists() && (others.is_empty() || is_it(stored)) {
        return None;
    }
    others.into_iter().find(|path| is_it(path))
}

/// What lies under the same name, with as many of the folders above it as possible, in the folder
/// of an output or in one above that.
fn beside(stored: &Path, output: &Path) -> Vec<PathBuf> {
    let Ok(output) = std::path::absolute(output) else {
        return Vec::new();
    };
    let parts: Vec<_> = stored.components().collect();
    let ends = (1..parts.len()).map(|first| parts[first..].iter().collect::<PathBuf>());
    let ends: Vec<PathBuf> = ends.collect();
    let own = stored.canonicalize().ok();
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in output.ancestors().skip(1) {
        let there = ends.iter().map(|end| folder.join(end));
        let there = there.filter(|path| path.exists());
        found.extend(there.filter(|path| path.canonicalize().ok() != own));
    }
    found
}

/// All files that a configuration names.
fn named(config: &mut Config) -> Vec<Named<'_>> {
    let model = &mut config.model;
    let several = model.weights.as_ref().is_some_and(WeightFiles::is_ensemble);
    let weights = model.weights.iter_mut().flat_map(WeightFiles::all_mut);
    let weights = weights.enumerate().map(|(place, path)| Named {
        key: "model.weights".into(),
        digest: Some(if several {
            format!("/weights/{place}")
        } else {
            "/weights".into()
        }),
        path,
    });
    let mut all: Vec<Named<'_>> = weights.collect();
    all.extend(model.onnx.iter_mut().map(|path| Named {
        key: "model.onnx".into(),
        digest: Some("/onnx".into()),
        path,
    }));
    let adam = matches!(config.method, Some(Method::Adam(_)));
    let of_method = config.method.iter_mut().flat_map(Method::files_mut);
    all.extend(of_method.enumerate().map(|(index, path)| {
        let (key, digest) = if adam {
            ("method.second_moments", "/second_moments".to_owned())
        } else {
            ("method.checkpoints", format!("/checkpoints/{index}"))
        };
        Named {
            key: key.into(),
            digest: Some(digest),
            path,
        }
    }));
    let data = &mut config.data;
    for (side, files) in [
        ("train", &mut data.train),
        ("test", &mut data.test),
        ("all", &mut data.all),
    ] {
        all.extend(files.iter_mut().flat_map(|files| of_side(side, files)));
    }
    if let Some(ClassNames::File(array)) = &mut data.classes {
        all.push(Named {
            key: "data.classes".into(),
            digest: None,
            path: &mut array.path,
        });
    }
    all
}

fn of_side<'a>(side: &'static str, files: &'a mut Files) -> impl Iterator<Item = Named<'a>> {
    let arrays = files.arrays_mut().into_iter();
    arrays.map(move |(key, array)| {
        let (name, part) = key.parts();
        let part = part.map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1")));
        Named {
            // One array of a list cannot be set by itself.
            key: match &key {
                ArrayKey::Input(InputKey::Place(_)) => format!("data.{side}.{name}"),
                key => format!("data.{side}.{key}"),
            },
            digest: Some(format!("/{side}/{name}{}", part.unwrap_or_default())),
            path: &mut array.path,
        }
    })
}
