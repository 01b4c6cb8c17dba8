use influence_core::Labels;
use serde_json::Map;
use zarrs::array::data_type;

use super::array::{Codecs, StoredArray, codec_options, declare_array};
use crate::{error::BoxError, zarr::place::OpenGroup};

/// Labels in one chunk of a coordinate: 8 MiB of numbers.
const CHUNK: usize = 1 << 20;

/// Declares and writes a coordinate: the labels of its dimension, or without any the numbers of its
/// points, counted from 0.
pub(crate) fn declare_coordinate(
    group: &OpenGroup,
    name: &str,
    length: usize,
    labels: Option<&Labels>,
    codecs: Codecs<'_>,
) -> Result<StoredArray, BoxError> {
    let chunk = length.clamp(1, CHUNK);
    let shape = (&[length as u64][..], &[chunk as u64][..]);
    let chunks = (0..length).step_by(chunk).enumerate();
    let dimension = &[name];
    if let Some(Labels::Names(names)) = labels {
        let kind = (data_type::string(), "".into());
        let array = declare_array(group, name, shape, kind, dimension, Map::new(), codecs)?;
        for (index, first) in chunks {
            // The last chunk is as long as the others.
            let texts = names[first..].iter().map(String::as_str);
            let texts: Vec<&str> = texts.chain(std::iter::repeat("")).take(chunk).collect();
            array.store_chunk_opt(&[index as u64], texts, &codec_options())?;
        }
        return Ok(array);
    }
    let kind = (data_type::int64(), (-1_i64).into());
    let array = declare_array(group, name, shape, kind, dimension, Map::new(), codecs)?;
    for (index, first) in chunks {
        let number = |point: usize| match labels {
            _ if point >= length => Ok(-1),
            Some(Labels::Numbers(numbers)) => Ok(numbers[point]),
            _ => i64::try_from(point),
        };
        let numbers: Result<Vec<i64>, _> = (first..first + chunk).map(number).collect();
        array.store_chunk_opt(&[index as u64], numbers?, &codec_options())?;
    }
    Ok(array)
}
