//! Codecs of zarr-python and numcodecs that `zarrs` reads by C libraries only, in other arithmetic,
//! or not at all, for reading: Blosc, LZ4, `Delta` and `FixedScaleOffset`.
//!
//! They have other names than the codecs of `zarrs`, so that whoever uses that crate
//! elsewhere in the program keeps its codecs.

mod blosc;
mod filtered;
mod filters;
mod read_only;
mod unpack;

use std::{fmt::Display, sync::Once};

use filtered::Filtered;
use filters::{Filters, is_filter};
use serde_json::{Value, json};
use unpack::Unpack;
use zarrs::{
    array::{ArrayMetadataV2, ArrayMetadataV3},
    convert::array_metadata_v2_to_v3,
    metadata::v3::MetadataV3,
};

use crate::error::BoxError;

/// The error of an array that is understood and cannot be read, with the way out.
pub(crate) fn unreadable(source: &dyn Display) -> BoxError {
    format!("{source}; write it again as plain numbers packed by zstd, gzip, zlib, Blosc, LZ4, bzip2 or not at all").into()
}

/// The metadata of an array of version 3, with the codecs that are read here under their own names,
/// also within shards.
pub(crate) fn of_version_3(mut text: Value) -> Result<ArrayMetadataV3, BoxError> {
    register();
    let kind = text["data_type"]
        .as_str()
        .map_or_else(String::new, numpy_name);
    if let Some(codecs) = text.pointer_mut("/codecs") {
        rename(codecs, &kind).map_err(|problem| unreadable(&problem))?;
    }
    let metadata: ArrayMetadataV3 = serde_json::from_value(text)?;
    let mut fields = metadata.additional_fields.iter();
    match fields.find(|(_, field)| field.must_understand()) {
        Some((name, _)) => Err(unreadable(&format!(
            "the metadata have an unknown field `{name}`"
        ))),
        None => Ok(metadata),
    }
}

/// The metadata of an array of version 2 and its attributes as those of version 3.
pub(crate) fn of_version_2(
    mut text: Value,
    attributes: Value,
) -> Result<ArrayMetadataV3, BoxError> {
    register();
    let name = text["compressor"]["id"].as_str();
    let packed = name.and_then(Unpack::of);
    if packed.is_some() {
        text["compressor"] = Value::Null;
    }
    let filters = filters_of(&text);
    if !filters.is_empty() {
        let kind = text["dtype"].as_str().unwrap_or_default();
        check_filters(kind, &filters).map_err(|problem| unreadable(&problem))?;
        text["filters"] = Value::Null;
    }
    let metadata: ArrayMetadataV2 = serde_json::from_value(text)?;
    let metadata = array_metadata_v2_to_v3(&metadata);
    let mut metadata = metadata.map_err(|source| unreadable(&source))?;
    if let Value::Object(attributes) = attributes {
        metadata = metadata.with_attributes(attributes);
    }
    let own = packed.map(|codec| MetadataV3::new(codec.own_name()));
    metadata.codecs.extend(own);
    let bytes = metadata
        .codecs
        .iter_mut()
        .find(|codec| codec.name() == "bytes");
    if let (Some(bytes), false) = (bytes, filters.is_empty()) {
        *bytes = serde_json::from_value(filtered(&filters))?;
    }
    Ok(metadata)
}

/// Name and settings of the filters of an array of version 2, if one of them is read here.
fn filters_of(text: &Value) -> Vec<(String, Value)> {
    let filters = text["filters"].as_array().into_iter().flatten();
    let filters: Vec<(String, Value)> = filters
        .map(|filter| {
            (
                filter["id"].as_str().unwrap_or_default().to_owned(),
                filter.clone(),
            )
        })
        .collect();
    if filters.iter().any(|(name, _)| is_filter(name)) {
        filters
    } else {
        Vec::new()
    }
}

/// Refuses filters that are not read together, and those of other numbers than the array has.
fn check_filters(of_array: &str, filters: &[(String, Value)]) -> Result<(), String> {
    if let Some((other, _)) = filters.iter().find(|(name, _)| !is_filter(name)) {
        return Err(format!("the filter {other} beside {}", filters[0].0));
    }
    let of_filter = filters[0].1["dtype"].as_str().unwrap_or_default();
    let bare = |text: &str| text.trim_start_matches(['<', '>', '|', '=']).to_owned();
    if bare(of_array) == bare(of_filter) {
        Filters::of(filters).map(drop)
    } else {
        Err(format!("a filter of {of_filter} on an array of {of_array}"))
    }
}

/// The name in numpy of a number type of version 3: `f8` for `float64`.
fn numpy_name(kind: &str) -> String {
    let bytes = |bits: &str| bits.parse().map_or(0, |bits: usize| bits / 8);
    match (
        kind.strip_prefix("float"),
        kind.strip_prefix("uint"),
        kind.strip_prefix("int"),
    ) {
        (Some(bits), ..) => format!("f{}", bytes(bits)),
        (_, Some(bits), _) => format!("u{}", bytes(bits)),
        (.., Some(bits)) => format!("i{}", bytes(bits)),
        _ => kind.to_owned(),
    }
}

/// The metadata of the codec that reads filtered numbers.
fn filtered(filters: &[(String, Value)]) -> Value {
    json!({ "name": Filtered::NAME, "configuration": Filters::configuration(filters) })
}

/// Gives the codecs that are read here their own names.
///
/// # Errors
/// When filters are not understood, or are of other numbers than those of this type.
fn rename(codecs: &mut Value, kind: &str) -> Result<(), String> {
    let Some(codecs) = codecs.as_array_mut() else {
        return Ok(());
    };
    for codec in &mut *codecs {
        if let Some(own) = codec["name"].as_str().and_then(Unpack::of) {
            codec["name"] = own.own_name().into();
        }
        for within in ["/configuration/codecs", "/configuration/index_codecs"] {
            codec
                .pointer_mut(within)
                .map_or(Ok(()), |codecs| rename(codecs, kind))?;
        }
    }
    let is_ours = |codec: &Value| codec["name"].as_str().is_some_and(is_filter);
    let Some(first) = codecs.iter().position(is_ours) else {
        return Ok(());
    };
    let count = codecs[first..]
        .iter()
        .take_while(|codec| is_ours(codec))
        .count();
    let filters: Vec<(String, Value)> = codecs[first..first + count]
        .iter()
        .map(|codec| {
            let name = codec["name"].as_str().unwrap_or_default();
            (name.to_owned(), codec["configuration"].clone())
        })
        .collect();
    if codecs
        .get(first + count)
        .is_none_or(|next| next["name"] != "bytes")
    {
        return Err(format!(
            "the codec {} before another one than bytes",
            filters[0].0
        ));
    }
    check_filters(kind, &filters)?;
    codecs.splice(first..=first + count, [filtered(&filters)]);
    Ok(())
}

/// Makes the codecs known to `zarrs`, once.
fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        unpack::register();
        filtered::register();
    });
}
