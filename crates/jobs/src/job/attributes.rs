//! What an output says about itself.

use anyhow::Result;
use influence_data::Files;
use serde_json::{Map, Value, json};

use super::Job;
use crate::{
    config::{Config, Method, WeightFiles, method::Residual},
    digest, groups,
};

impl Job {
    /// What the output says about how it was made.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn attributes(&self) -> Result<Map<String, Value>> {
        let Config {
            seed,
            device,
            precision,
            model,
            data,
            ..
        } = &self.config;
        let method = self.config.method()?;
        let curved = method.curved();
        let mut attributes = Map::new();
        let mut put = |key: &str, value: Value| attributes.insert(key.to_owned(), value);
        put("version", json!(env!("CARGO_PKG_VERSION")));
        put("method", json!(method.name()));
        put(
            "curvature",
            json!(curved.map(|curved| curved.curvature.name())),
        );
        put("damping", json!(curved.map(|curved| &curved.damping)));
        put(
            "blocks",
            json!(curved.and_then(|curved| curved.blocks.as_ref())),
        );
        put("solver", json!(solver_settings(method)?));
        if method.unrolls() {
            put("training", json!(self.config.train));
        }
        put("mode", json!(self.config.compute.mode));
        put("loss", json!(model.loss));
        if let Some(measurement) = &model.measurement {
            put("measurement", json!(measurement));
        }
        if model.onnx.is_some() {
            put("network", model.network_keys().into());
        }
        put("precision", json!(precision));
        put("device", json!(device));
        put("seed", json!(seed));
        if let Some(groups) = groups::attributes(&self.config, self.points()) {
            put("groups", groups);
        }
        if let Some(split) = data.split {
            put("split", json!(split));
        }
        if let Some(scale) = &data.scale {
            put("scale", json!(scale));
        }
        let checkpoints = method.checkpoints().iter();
        let checkpoints =
            checkpoints.map(|checkpoint| Ok(json!(digest::of_file(&checkpoint.weights)?)));
        let mut of_files = Map::new();
        let weights = model.weights.iter().flat_map(WeightFiles::all);
        let weights = weights.map(|path| Ok(json!(digest::of_input(path)?)));
        let mut weights = weights.collect::<Result<Vec<_>>>()?;
        match weights.len() {
            0 => {}
            1 => drop(of_files.insert("weights".into(), weights.remove(0))),
            _ => drop(of_files.insert("weights".into(), weights.into())),
        }
        if let Some(path) = &model.onnx {
            of_files.insert("onnx".into(), json!(digest::of_input(path)?));
        }
        of_files.insert("checkpoints".into(), checkpoints.collect::<Result<_>>()?);
        if let Some(path) = method.second_moments() {
            of_files.insert("second_moments".into(), json!(digest::of_file(path)?));
        }
        let sets = [
            ("train", &data.train),
            ("test", &data.test),
            ("all", &data.all),
        ];
        for (name, files) in sets {
            if let Some(files) = files {
                of_files.insert(name.into(), digests(files)?.into());
            }
        }
        put("digests", of_files.into());
        Ok(attributes)
    }

    /// The configuration needed to compute chunks again; it is not compared when a run is resumed.
    ///
    /// # Errors
    /// None that can be met: TOML is JSON, but for dates, which no key takes.
    pub fn origin(&self) -> Result<Value> {
        Ok(serde_json::to_value(&self.config.origin)?)
    }
}

/// The digests of the files of a data set: by key, and by name or place where a key has several.
fn digests(files: &Files) -> Result<Map<String, Value>> {
    let mut all = Map::new();
    for (key, array) in files.arrays() {
        let digest = json!(digest::of_path(&array.path)?);
        match key.parts() {
            (key, None) => {
                all.insert(key.to_owned(), digest);
            }
            (key, Some(part)) => {
                let several = all.entry(key).or_insert_with(|| json!({}));
                several[part] = digest;
            }
        }
    }
    Ok(all)
}

/// The given settings of the solver, without those that have attributes of their own, and without
/// files.
fn solver_settings(method: &Method) -> Result<Map<String, Value>> {
    let mut settings = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            settings.insert(key.to_owned(), value);
        }
    };
    if let Some(curved) = method.curved() {
        put("draws", json!(curved.curvature.draws()));
        put("damping_by_parameter", json!(method.damping_by_parameter()));
        put("sweep", json!(curved.damping.sweep()));
        put(
            "residual",
            json!((curved.residual == Residual::Exact).then_some(curved.residual)),
        );
        put("relative", json!(curved.relative_name()));
        put("leverage", json!(method.leverage().then_some(true)));
    }
    if let Value::Object(own) = serde_json::to_value(method)? {
        own.into_iter().for_each(|(key, value)| put(&key, value));
    }
    let checkpoints = method.checkpoints().iter();
    let rates: Vec<f64> = checkpoints
        .map(|checkpoint| checkpoint.learning_rate)
        .collect();
    if !rates.is_empty() {
        put("learning_rates", json!(rates));
    }
    Ok(settings)
}
