//! Tensor data as host arrays, and back.

use burn::tensor::{BoolStore, DType, DataError, Element, TensorData};
use influence_core::Values;
use ndarray::ArrayD;

use crate::{Error, Result};

/// The host array of tensor data, which is field number `field` of a batch; the buffer changes
/// hands unless the numbers need a wider type.
pub(super) fn values(data: TensorData, field: usize) -> Result<Values> {
    let shape = data.shape().to_vec();
    let refuse = |expected: &str, got: String| Error::Field {
        field,
        expected: expected.into(),
        got,
    };
    let unread = |error: DataError| refuse("an array that can be read", error.to_string());
    Ok(match data.dtype() {
        DType::F32 => Values::new(data.try_into_vec::<f32>().map_err(unread)?, &shape)?,
        DType::F64 => Values::new(data.try_into_vec::<f64>().map_err(unread)?, &shape)?,
        DType::I64 => Values::new(data.try_into_vec::<i64>().map_err(unread)?, &shape)?,
        DType::Bool(_) => Values::new(data.iter::<bool>().collect(), &shape)?,
        DType::Flex32 | DType::F16 | DType::BF16 => {
            Values::new(data.iter::<f32>().collect(), &shape)?
        }
        DType::I32 | DType::I16 | DType::I8 | DType::U32 | DType::U16 | DType::U8 => {
            Values::new(data.iter::<i64>().collect(), &shape)?
        }
        DType::U64 => {
            let signed: Option<Vec<i64>> = data
                .iter::<u64>()
                .map(|number| number.try_into().ok())
                .collect();
            let signed = signed.ok_or_else(|| {
                refuse("integers of 64 signed bits", "one that does not fit".into())
            })?;
            Values::new(signed, &shape)?
        }
        quantised @ DType::QFloat(_) => {
            return Err(refuse(
                "an array of plain numbers",
                format!("{quantised:?}"),
            ));
        }
    })
}

/// A field of a batch as tensor data, of the same type and shape; the inverse of
/// [`batch_of`](crate::batch_of).
pub fn tensor_data(values: &Values) -> TensorData {
    match values {
        Values::F32(array) => of_array(array),
        Values::F64(array) => of_array(array),
        Values::I64(array) => of_array(array),
        Values::Bool(array) => of_array(array),
    }
}

fn of_array<E: Element>(array: &ArrayD<E>) -> TensorData {
    let numbers = match array.as_slice() {
        Some(numbers) => numbers.to_vec(),
        None => array.iter().copied().collect(),
    };
    TensorData::new(numbers, array.shape())
}

/// The type of the numbers as burn calls it.
pub(crate) fn dtype(values: &Values) -> DType {
    match values {
        Values::F32(_) => DType::F32,
        Values::F64(_) => DType::F64,
        Values::I64(_) => DType::I64,
        Values::Bool(_) => DType::Bool(BoolStore::Native),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::f16;

    use super::*;

    #[test]
    fn no_type_of_number_loses_anything() {
        let of = |data: TensorData| values(data, 0).expect("plain numbers");
        let halves = [f16::from_f32(0.1), f16::from_f32(-65504.0)];
        let expected = vec![f16::from_f32(0.1).to_f32(), -65504.0];
        assert_eq!(
            of(TensorData::from(halves)),
            Values::new(expected, &[2]).expect("two")
        );
        let integers = Values::new(vec![i64::from(i32::MIN), 7], &[2]).expect("two");
        assert_eq!(of(TensorData::from([i32::MIN, 7])), integers);
        let large = Values::new(vec![i64::from(u32::MAX)], &[1]).expect("one");
        assert_eq!(of(TensorData::from([u32::MAX])), large);
        let truths = Values::new(vec![true, false], &[2]).expect("two");
        assert_eq!(of(TensorData::from([true, false])), truths);
        let error = values(TensorData::from([u64::MAX]), 3).expect_err("too large");
        assert!(
            error.to_string().contains("field 3 of the batch"),
            "{error}"
        );
    }

    #[test]
    fn truth_values_stay_the_same_however_a_device_stores_them() {
        let truths = vec![true, false, false, true, true];
        for store in [BoolStore::Native, BoolStore::U8, BoolStore::U32] {
            let on_device = |data: TensorData| data.convert_dtype(DType::Bool(store));
            let stored = on_device(TensorData::new(truths.clone(), [5]));
            let read = values(stored, 0).expect("truth values");
            assert_eq!(read, Values::new(truths.clone(), &[5]).expect("five"));
            let back = on_device(tensor_data(&read));
            assert_eq!(back.dtype(), DType::Bool(store));
            assert_eq!(back.iter::<bool>().collect::<Vec<_>>(), truths);
        }
    }

    #[test]
    fn host_arrays_of_any_layout_become_tensor_data() {
        let array = ndarray::array![[1.0_f64, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let turned = Values::from(array.clone().reversed_axes().into_dyn());
        let data = tensor_data(&turned);
        assert_eq!(data.shape().to_vec(), [3, 2]);
        assert_eq!(
            data.as_slice::<f64>().expect("floats"),
            [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
        );
        assert_eq!(dtype(&turned), data.dtype());
    }
}
