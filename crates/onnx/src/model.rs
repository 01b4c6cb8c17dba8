//! A network as read from a file, and its parameters as they were found.

mod entries;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use burn::tensor::Device;

use crate::{
    Error, InputForm, NamedTensor, Network, ReadSettings, Result, file, network::Program,
    parameters, pt2,
};

/// A network as read from a file.
#[derive(Debug)]
pub struct NetworkFile {
    /// The parameters, in the order of the file.
    pub parameters: Vec<NamedTensor>,
    /// What it reads, in the order of the file.
    pub inputs: Vec<InputForm>,
    /// The names of its outputs, that of the chosen one first.
    pub outputs: Vec<String>,
    /// How many nodes there are of each operator.
    pub operators: BTreeMap<String, usize>,
    /// What a user should know of the file, in sentences.
    pub remarks: Vec<String>,
    program: Arc<Program>,
    measured: Option<Arc<Program>>,
}

impl NetworkFile {
    /// Reads a file: ONNX, or an archive of PyTorch's `torch.export.save`, as its content says.
    ///
    /// # Errors
    /// When it cannot be read, is not valid, has operators that are not known (all of them are
    /// named), or has not all its parameters, as they were.
    pub fn read(path: &Path, settings: &ReadSettings) -> Result<Self> {
        let archive = pt2::is_archive(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let found = if archive {
            pt2::read(path, settings)?
        } else {
            parameters::identify(file::read(path)?, settings)?
        };
        Ok(Self {
            parameters: found.parameters,
            inputs: found.program.inputs.clone(),
            outputs: found.outputs,
            operators: found.operators,
            remarks: found.remarks,
            program: Arc::new(found.program),
            measured: found.measured.map(Arc::new),
        })
    }

    /// A network of these parameters and nodes.
    #[cfg(test)]
    pub(crate) fn of(parameters: Vec<NamedTensor>, program: Program) -> Self {
        Self {
            parameters,
            inputs: program.inputs.clone(),
            outputs: vec![program.output().to_owned()],
            operators: BTreeMap::new(),
            remarks: Vec::new(),
            program: Arc::new(program),
            measured: None,
        }
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// What computes the tensor that is measured, if [`ReadSettings::measured`] names one.
    pub(crate) fn measured(&self) -> Option<&Arc<Program>> {
        self.measured.as_ref()
    }

    /// The network on a device.
    pub fn network(&self, device: &Device) -> Network {
        Network::new(&self.parameters, self.program.clone(), device)
    }
}
