use burn::{
    backend::capture::{CaptureBackend, TensorId},
    tensor::{Bool, BoolStore, DType, Device, Float, Int, Tensor},
};
use influence_core::{FieldForm, FieldKind, Values};

use crate::{
    Error, Result,
    dataset::{dtype, tensor_data},
};

/// A tensor that a task reads from a field of a batch.
pub trait Field: Sized {
    /// What the field must be.
    const FORM: FieldForm;

    /// Puts a field on a device.
    ///
    /// # Errors
    /// [`Error::Field`] when the field has another rank or kind; `position` names it.
    fn read(values: &Values, position: usize, device: &Device) -> Result<Self>;

    /// The id of a tensor on a recording device.
    #[doc(hidden)]
    fn captured(&self) -> Option<TensorId>;
}

macro_rules! field {
    ($kind:ident, $is_kind:ident, $name:literal, $type:expr) => {
        impl<const D: usize> Field for Tensor<D, $kind> {
            const FORM: FieldForm = FieldForm {
                kind: FieldKind::$kind,
                rank: D,
            };

            fn read(values: &Values, position: usize, device: &Device) -> Result<Self> {
                if values.shape().len() == D && dtype(values).$is_kind() {
                    return Ok(Self::from_data(tensor_data(values), (device, $type)));
                }
                Err(Error::Field {
                    field: position,
                    expected: format!(concat!("a ", $name, " array of rank {}"), D),
                    got: format!("{:?} of shape {:?}", dtype(values), values.shape()),
                })
            }

            fn captured(&self) -> Option<TensorId> {
                let primitive = self.clone().try_into_primitive::<CaptureBackend>().ok()?;
                Some(primitive.id())
            }
        }
    };
}

// The types in which models are recorded; the precision of the computation is chosen when the graph
// is evaluated.
field!(Float, is_float, "float", DType::F32);
field!(Int, is_int, "integer", DType::I64);
field!(Bool, is_bool, "bool", DType::Bool(BoolStore::U8));

/// The tensors that a task reads: a tuple of one to four of them.
pub trait Inputs: Sized {
    /// What each field of a batch must be.
    fn forms() -> Vec<FieldForm>;

    /// Puts the fields of a batch on a device.
    ///
    /// # Errors
    /// [`Error::Field`] when the fields are not those that the task reads.
    fn read(fields: &[Values], device: &Device) -> Result<Self>;

    /// The ids of the tensors on a recording device.
    #[doc(hidden)]
    fn captured(&self) -> Option<Vec<TensorId>>;
}

macro_rules! inputs {
    ($count:literal; $($name:ident $index:tt),+) => {
        impl<$($name: Field),+> Inputs for ($($name,)+) {
            fn forms() -> Vec<FieldForm> {
                vec![$($name::FORM),+]
            }

            fn read(fields: &[Values], device: &Device) -> Result<Self> {
                if fields.len() != $count {
                    let expected = concat!("one of ", $count, " fields").to_owned();
                    return Err(Error::Field { field: fields.len(), expected, got: format!("{} fields", fields.len()) });
                }
                Ok(($($name::read(&fields[$index], $index, device)?,)+))
            }

            fn captured(&self) -> Option<Vec<TensorId>> {
                Some(vec![$(self.$index.captured()?),+])
            }
        }
    };
}

inputs!(1; A 0);
inputs!(2; A 0, B 1);
inputs!(3; A 0, B 1, C 2);
inputs!(4; A 0, B 1, C 2, E 3);
