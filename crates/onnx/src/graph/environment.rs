//! Values by name, and how nodes read and add them.

use super::{Call, GraphNode, NamedValues, NetworkGraph, Slot};
use crate::{
    Error, Result,
    value::{Devices, Value},
};

impl FromIterator<(String, Value)> for NamedValues {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        let values = values.into_iter();
        Self(values.map(|(name, value)| (name, value.into())).collect())
    }
}

impl NamedValues {
    /// Takes the first argument of a node for its result.
    pub(crate) fn pass(&mut self, node: &GraphNode) {
        let argument = node.inputs.first().and_then(Option::as_ref);
        let slot = argument.and_then(|name| self.0.get(name).cloned());
        if let (Some(slot), Some(result)) = (slot, node.outputs.first()) {
            self.0.insert(result.clone(), slot);
        }
    }

    /// The outputs of a graph that may read all these values.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub(crate) fn outputs(&self, graph: &NetworkGraph, devices: &Devices) -> Result<Vec<Slot>> {
        let mut environment = self.clone();
        for (name, data) in &graph.tensors {
            let value = Value::known(data.clone(), devices);
            environment.0.insert(name.clone(), value.into());
        }
        for node in &graph.nodes {
            environment.run(node, &[], devices)?;
        }
        let output = |name: &String| {
            let slot = environment.0.get(name).cloned();
            slot.ok_or_else(|| Error::Operator(format!("nothing computes `{name}`")))
        };
        graph.outputs.iter().map(output).collect()
    }

    /// Runs a node; values in `last` are not read afterwards.
    ///
    /// # Errors
    /// When it cannot be computed from values of these shapes.
    pub(crate) fn run(
        &mut self,
        node: &GraphNode,
        last: &[String],
        devices: &Devices,
    ) -> Result<()> {
        let mut arguments = Vec::with_capacity(node.inputs.len());
        for (place, name) in node.inputs.iter().enumerate() {
            let Some(name) = name else {
                arguments.push(None);
                continue;
            };
            // A value that is read for the last time is handed over, so that it can be overwritten.
            let again = node.inputs[place + 1..].contains(&Some(name.clone()));
            let slot = if last.contains(name) && !again {
                self.0.remove(name)
            } else {
                self.0.get(name).cloned()
            };
            let slot = slot.ok_or_else(|| node.error(format_args!("nothing computes `{name}`")))?;
            arguments.push(Some(slot));
        }
        let mut call = Call {
            node,
            arguments,
            devices,
            environment: self,
        };
        let results = (node.operator.run)(&mut call).map_err(|error| node.error(error))?;
        for (name, result) in node.outputs.iter().zip(results) {
            self.0.insert(name.clone(), result);
        }
        Ok(())
    }
}
