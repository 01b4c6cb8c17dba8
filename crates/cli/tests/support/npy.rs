//! Data in numpy's format.

use std::{fs::File, path::Path};

use npyz::{AutoSerialize, Serialize, WriterBuilder};

/// Writes an array.
pub(crate) fn write<T: Serialize + AutoSerialize + Copy>(path: &Path, values: &[T], shape: &[u64]) {
    let file = File::create(path).expect("created");
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(file)
        .begin_nd()
        .expect("a header");
    writer.extend(values.iter().copied()).expect("written");
    writer.finish().expect("finished");
}
