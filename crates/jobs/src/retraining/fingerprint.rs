//! What the numbers of retrainings depend on.

use anyhow::Result;
use influence_core::{Batch, Values};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Beginning, Retraining};
use crate::{config::WeightFiles, digest};

impl Retraining<'_> {
    /// What the outcomes depend on besides the subset and the seed: the model, its training, and
    /// the points as they were read, whatever files they are in.
    ///
    /// # Errors
    /// When the file of a network, or of the weights at which trainings begin, cannot be read.
    pub fn fingerprint(&self) -> Result<Map<String, Value>> {
        let mut attributes = Map::new();
        let mut put = |key: &str, value: Value| attributes.insert(key.to_owned(), value);
        put("version", json!(env!("CARGO_PKG_VERSION")));
        put("device", json!(self.config.device));
        put("model", self.model_section()?);
        put("parameters", json!(self.parameters));
        put("train", json!(self.config.train));
        if self.beginning == Beginning::Trained {
            let weights = self.config.model.weights.as_ref().map(WeightFiles::first);
            let weights = weights.map(digest::of_input).transpose()?;
            put(
                "beginning",
                json!(weights.unwrap_or_else(|| "network".to_owned())),
            );
        }
        put(
            "points",
            json!({ "train": of_batch(&self.train), "test": of_batch(&self.test) }),
        );
        Ok(attributes)
    }

    /// The model section without weights: models begin at those of their seeds. In place of the
    /// path of a network its digest.
    fn model_section(&self) -> Result<Value> {
        let section = self.config.origin.get("model");
        let mut section = serde_json::to_value(section)?;
        if let Some(section) = section.as_object_mut() {
            section.retain(|key, _| !matches!(key.as_str(), "weights" | "state"));
            if let Some(path) = &self.config.model.onnx {
                section.insert("onnx".into(), json!(digest::of_input(path)?));
            }
        }
        Ok(section)
    }
}

/// The digest of the numbers of a batch and of their shapes.
fn of_batch(batch: &Batch) -> String {
    let mut hash = Sha256::new();
    for field in batch.fields() {
        hash.update(format!("{:?}", field.shape()));
        match field {
            Values::F32(array) => array
                .iter()
                .for_each(|number| hash.update(number.to_le_bytes())),
            Values::F64(array) => array
                .iter()
                .for_each(|number| hash.update(number.to_le_bytes())),
            Values::I64(array) => array
                .iter()
                .for_each(|number| hash.update(number.to_le_bytes())),
            Values::Bool(array) => array
                .iter()
                .for_each(|&truth| hash.update([u8::from(truth)])),
        }
    }
    digest::shown(&hash.finalize())
}
