//! The inputs of a program: parameters, buffers, constants and data, by its signature.

use std::collections::{BTreeSet, HashMap};

use burn::tensor::TensorData;

use crate::{
    Error, Result,
    error::malformed,
    graph::{AxisLength, InputForm},
    parameters::Tie,
    settings::NamedTensor,
};

use super::{
    archive::Archive,
    nodes::{Names, kind_of},
    schema::{ArgumentSchema, GraphModule, InputSpec, SizeSchema, Symbol, TensorMeta},
    tensors::{TensorPlace, Tensors},
};

/// What the graph of a program reads.
#[derive(Default)]
pub(super) struct ProgramInputs {
    /// What a batch gives.
    pub(super) fields: Vec<InputForm>,
    /// Names of parameters that are another one.
    pub(super) ties: Vec<Tie>,
    /// The names of buffers and constants.
    pub(super) buffers: BTreeSet<String>,
    parameters: Vec<ProgramTensor>,
    constants: Vec<ProgramTensor>,
}

/// A tensor of the archive.
struct ProgramTensor {
    /// Its name in the archive.
    target: String,
    /// Its name in the graph.
    name: String,
    place: TensorPlace,
    trained: bool,
}

impl ProgramInputs {
    /// Gives all inputs their names.
    pub(super) fn new(module: &GraphModule, tensors: &Tensors, names: &mut Names) -> Result<Self> {
        let mut inputs = Self::default();
        let mut by_place: HashMap<TensorPlace, String> = HashMap::new();
        for spec in &module.signature.input_specs {
            match spec {
                InputSpec::Parameter {
                    arg,
                    parameter_name,
                } => {
                    let (place, trained) = tensors.place(parameter_name)?;
                    if let Some(first) = by_place.get(&place) {
                        names.alias(&arg.name, first);
                        inputs.ties.push(Tie {
                            name: parameter_name.clone(),
                            is: first.clone(),
                        });
                        continue;
                    }
                    let name = names.define(&arg.name, parameter_name);
                    by_place.insert(place.clone(), name.clone());
                    inputs.parameters.push(ProgramTensor {
                        target: parameter_name.clone(),
                        name,
                        place,
                        trained,
                    });
                }
                InputSpec::Buffer {
                    arg,
                    buffer_name: target,
                }
                | InputSpec::TensorConstant {
                    arg,
                    tensor_constant_name: target,
                } => {
                    let (place, _) = tensors.place(target)?;
                    let name = names.define(&arg.name, target);
                    inputs.buffers.insert(name.clone());
                    inputs.constants.push(ProgramTensor {
                        target: target.clone(),
                        name,
                        place,
                        trained: false,
                    });
                }
                InputSpec::UserInput { arg } => inputs.field(arg, module, names)?,
                // A value that the program was exported with: no node reads it.
                InputSpec::ConstantInput(_) => {}
                InputSpec::CustomObj(_) | InputSpec::Token(_) => {
                    return Err(malformed(
                        "the program reads an object of Python, which is not supported; export the network without it",
                    ));
                }
            }
        }
        inputs.check_apart()?;
        Ok(inputs)
    }

    /// An input that the user gives.
    fn field(
        &mut self,
        arg: &ArgumentSchema,
        module: &GraphModule,
        names: &mut Names,
    ) -> Result<()> {
        let name = match arg {
            ArgumentSchema::AsTensor(tensor) => &tensor.name,
            ArgumentSchema::AsSymInt(Symbol::AsName(name))
            | ArgumentSchema::AsSymFloat(Symbol::AsName(name)) => {
                return Err(malformed(format_args!(
                    "the input `{name}` is a number; inputs are tensors with one entry for each sample: export the network with the number fixed"
                )));
            }
            _ => return Ok(()),
        };
        let meta = module.graph.tensor_values.get(name);
        let meta = meta.ok_or_else(|| malformed(format_args!("the input `{name}` has no type")))?;
        let kind = kind_of(meta.dtype).ok_or_else(|| {
            malformed(format_args!(
                "the input `{name}` has elements of type {} in PyTorch's numbering, which is not read",
                meta.dtype
            ))
        })?;
        let sides = sides(meta).map_err(|length| {
            malformed(format_args!(
                "the input `{name}` has an axis of length {length}"
            ))
        })?;
        self.fields.push(InputForm {
            name: names.define(name, name),
            kind,
            sides: Some(sides),
        });
        Ok(())
    }

    /// Refuses parameters that share some of their numbers and not all: no derivative is by one of
    /// them alone.
    fn check_apart(&self) -> Result<()> {
        let places: Vec<(&str, TensorPlace)> = self
            .parameters
            .iter()
            .map(|stored| (stored.name.as_str(), stored.place.clone()))
            .collect();
        match Tensors::overlap(&places) {
            Some((one, other)) => Err(Error::Parameters(format!(
                "parameters `{one}` and `{other}` share some of their numbers, but are not the same; make one of them a copy and export the network again"
            ))),
            None => Ok(()),
        }
    }

    /// Whether a name of the graph is a trained parameter.
    pub(super) fn trained(&self) -> impl Iterator<Item = &str> {
        let trained = self.parameters.iter().filter(|stored| stored.trained);
        trained.map(|stored| stored.name.as_str())
    }

    /// The parameters with their numbers.
    pub(super) fn parameters(
        &self,
        tensors: &mut Tensors,
        archive: &mut Archive,
    ) -> Result<Vec<NamedTensor>> {
        let parameters = self.parameters.iter().map(|stored| {
            let data = tensors.numbers(&stored.target, &stored.place, archive)?;
            if !data.dtype().is_float() {
                return Err(malformed(format_args!(
                    "parameter `{}` has integers",
                    stored.name
                )));
            }
            Ok(NamedTensor {
                name: stored.name.clone(),
                data,
                trained: stored.trained,
                remark: (!stored.trained).then(|| "requires_grad is False in the file".to_owned()),
            })
        });
        parameters.collect()
    }

    /// The buffers and constants that are needed, with their numbers.
    pub(super) fn constants(
        &self,
        needed: impl Fn(&str) -> bool,
        tensors: &mut Tensors,
        archive: &mut Archive,
    ) -> Result<Vec<(String, TensorData)>> {
        let constants = self.constants.iter().filter(|stored| needed(&stored.name));
        let constants = constants.map(|stored| {
            let data = tensors.numbers(&stored.target, &stored.place, archive)?;
            Ok((stored.name.clone(), data))
        });
        constants.collect()
    }
}

/// The lengths of the axes of an input.
fn sides(meta: &TensorMeta) -> Result<Vec<AxisLength>, i64> {
    let side = |size: &SizeSchema| match size {
        SizeSchema::AsInt(length) => usize::try_from(*length)
            .map(AxisLength::Fixed)
            .map_err(|_| *length),
        SizeSchema::AsExpr(expression) => Ok(AxisLength::Free(symbol(&expression.expr_str))),
    };
    meta.sizes.iter().map(side).collect()
}

/// The name in `Symbol('s77', positive=True, integer=True)`.
fn symbol(expression: &str) -> Option<String> {
    let rest = expression.strip_prefix("Symbol('")?;
    let (name, _) = rest.split_once('\'')?;
    Some(name.to_owned())
}
