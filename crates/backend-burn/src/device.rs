//! Devices by name; the one place that knows which are compiled in.

use burn::tensor::Device;

use crate::{Error, Result};

/// The device of a name: `cpu` (or `flex`), `ndarray`, `wgpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`Error::UnknownDevice`] naming what this build has, and the cargo feature that adds the device
/// where there is one.
///
/// # Examples
/// ```
/// let device = influence_backend_burn::device::open("cpu")?;
/// assert!(influence_backend_burn::device::open("abacus").is_err());
/// # Ok::<(), influence_backend_burn::Error>(())
/// ```
#[cfg_attr(
    feature = "ndarray",
    expect(
        deprecated,
        reason = "burn drops ndarray in 0.23; until then it is a device like others"
    )
)]
pub fn open(name: &str) -> Result<Device> {
    let (kind, number) = name
        .split_once(':')
        .map_or((name, None), |(kind, number)| (kind, Some(number)));
    let index: Option<usize> = match number {
        None => Some(0),
        Some(number) => number.parse().ok(),
    };
    match (kind, index) {
        #[cfg(feature = "flex")]
        ("cpu" | "flex", Some(0)) => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        ("ndarray", Some(0)) => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        ("wgpu", Some(0)) => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        ("cuda", Some(index)) => Ok(Device::cuda(index)),
        _ => Err(unknown(name)),
    }
}

/// The names of the devices that this build has.
pub fn available() -> Vec<String> {
    let compiled = [
        ("cpu", cfg!(feature = "flex")),
        ("ndarray", cfg!(feature = "ndarray")),
        ("wgpu", cfg!(feature = "wgpu")),
        ("cuda:0", cfg!(feature = "cuda")),
    ];
    compiled
        .into_iter()
        .filter(|(_, present)| *present)
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// The error for a device that this build does not have.
pub(crate) fn unknown(name: &str) -> Error {
    let kind = name.split(':').next().unwrap_or(name);
    let feature = match kind {
        "cpu" => Some("flex"),
        "flex" | "ndarray" | "wgpu" | "cuda" => Some(kind),
        _ => None,
    };
    let built = |feature: &str| match feature {
        "flex" => cfg!(feature = "flex"),
        "ndarray" => cfg!(feature = "ndarray"),
        "wgpu" => cfg!(feature = "wgpu"),
        _ => cfg!(feature = "cuda"),
    };
    let hint = feature
        .filter(|feature| !built(feature))
        .map_or_else(String::new, |feature| {
            format!("; build with the cargo feature `{feature}` to add it")
        });
    Error::UnknownDevice {
        name: name.to_owned(),
        available: available(),
        hint,
    }
}
