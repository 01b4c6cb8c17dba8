//! Messages about files that do not have the parameters of the network.

use std::path::{Path, PathBuf};

use crate::Error;

/// What to type for PyTorch's new exporter.
const NEW: &str = r#"torch.onnx.export(model.eval(), args, "model.onnx", dynamo=True, optimize=False, dynamic_shapes=({0: torch.export.Dim("n")},))"#;
/// What to type for the old one.
const OLD: &str = r#"torch.onnx.export(model.eval(), args, "model.onnx", dynamo=False, do_constant_folding=False, opset_version=17, input_names=["x"], dynamic_axes={"x": {0: "n"}})"#;
/// How many changes are named.
const SHOWN: usize = 4;

/// Refuses a file.
pub(super) struct ExporterRefusal {
    path: PathBuf,
}

impl ExporterRefusal {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// For what an exporter did to parameters.
    pub(super) fn of_changes(&self, changes: &[String], by_new: bool) -> Error {
        let line = if by_new { NEW } else { OLD };
        Error::Parameters(format!(
            "{}: its exporter changed parameters, so that influences would be those of another network:{}\nexport it again and leave them as they are:\n  {line}\nor give the state dict that it was exported with as model.weights: where parameters were only transposed, copied or renamed, that restores them",
            self.path.display(),
            listed(changes)
        ))
    }

    /// The same, where a state dict does not help.
    pub(super) fn of_unmatched(&self, changes: &[String], weights: &Path) -> Error {
        Error::Parameters(format!(
            "{}: its exporter changed parameters, and their numbers are not in {} as they are or transposed:{}\nexport it again and leave them as they are:\n  {NEW}",
            self.path.display(),
            weights.display(),
            listed(changes)
        ))
    }
}

fn listed(changes: &[String]) -> String {
    let shown = changes
        .iter()
        .take(SHOWN)
        .map(|change| format!("\n  {change}"));
    let shown: String = shown.collect();
    match changes.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}\n  and {more} more"),
    }
}
