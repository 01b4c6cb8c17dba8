//! Devices by name; the one place that knows which are compiled in.

use std::{borrow::Cow, env};

use burn::tensor::{DType, Device};
use influence_core::Precision;

use crate::{Error, Result};

/// What stands for the number of a process among those on its machine.
const LOCAL_RANK: &str = "{local_rank}";

/// Where Open MPI, MPICH (also Intel's) and Slurm tell a process this number.
const RANKS: [&str; 3] = [
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "SLURM_LOCALID",
];

/// The device of a name: `cpu` (or `flex`), `ndarray`, `wgpu`, `cuda` or `cuda:N`.
///
/// In `cuda:{local_rank}` the number is that of this process among those on its machine, as Open
/// MPI, MPICH or Slurm tell it by `OMPI_COMM_WORLD_LOCAL_RANK`, `MPI_LOCALRANKID` or
/// `SLURM_LOCALID`: one process per GPU.
///
/// `wgpu` is the GPU that WebGPU prefers, through Vulkan, Metal or DirectX; where there is none, a
/// driver that computes on the CPU, if one is installed. `CUBECL_WGPU_DEFAULT_DEVICE` names
/// another, for example `IntegratedGpu(0)`. [`adapter`] says which it is.
///
/// # Errors
/// [`Error::UnknownDevice`] naming what this build has, and the cargo feature that adds the device
/// where there is one; [`Error::NoLocalRank`]; [`Error::NoAdapter`].
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
    let name = &*ranked(name, |variable| env::var(variable).ok())?;
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
        ("wgpu", Some(0)) => wgpu(),
        #[cfg(feature = "cuda")]
        ("cuda", Some(index)) => Ok(Device::cuda(index)),
        _ => Err(unknown(name)),
    }
}

/// The device of WebGPU. burn's own constructor opens it when it is used first, and panics if that
/// fails.
#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device> {
    use std::sync::OnceLock;

    use burn::{backend::wgpu::WgpuInitError, tensor::DeviceKind};

    static OPENED: OnceLock<Result<Device, String>> = OnceLock::new();
    let opened = OPENED.get_or_init(|| {
        match crate::panic::caught(|| Device::wgpu_options().init())? {
            // Whoever holds a device of this kind already has opened it.
            Err(WgpuInitError::Registration { .. }) => Ok(Device::wgpu(DeviceKind::DefaultDevice)),
            outcome => outcome.map_err(|error| error.to_string()),
        }
    });
    opened
        .clone()
        .map_err(|problem| Error::NoAdapter { problem })
}

/// What a GPU calls itself, with its driver where that is one in software; nothing for the CPU.
pub fn adapter(device: &Device) -> Option<String> {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    return device.identity().map(|identity| identity.name);
    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    {
        let _ = device;
        None
    }
}

/// Whether a device computes in a precision.
pub fn supports(device: &Device, precision: Precision) -> bool {
    match precision {
        Precision::F32 => device.supports_dtype(DType::F32),
        Precision::F64 => !is_wgpu(device) && device.supports_dtype(DType::F64),
    }
}

/// How large the pieces are into which work is cut on a device.
pub(crate) struct PieceSizes {
    /// Scalars of an intermediate result of scoring.
    pub(crate) scalars: usize,
    /// Bytes of activations in a pass.
    pub(crate) pass: usize,
    /// Whether these are in the memory of the host.
    pub(crate) on_host: bool,
}

/// The sizes of a device. On the CPU pieces stay in a cache; on a GPU they are large, as an
/// operation costs as much to begin there as a million numbers.
pub(crate) fn piece_sizes(device: &Device) -> PieceSizes {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    if let burn::backend::DispatchDevice::Cube(gpu) = device.clone().inner().as_dispatch() {
        return of_gpu(gpu);
    }
    let _ = device;
    PieceSizes {
        scalars: 1 << 20,
        pass: 32 << 20,
        on_host: true,
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn of_gpu(device: &burn::backend::CubeDevice) -> PieceSizes {
    // WebGPU promises no more than 128 MiB of a buffer.
    let (scalars, pass) = if is_cuda(device) {
        (1 << 26, 1 << 30)
    } else {
        (1 << 24, 256 << 20)
    };
    PieceSizes {
        scalars,
        pass,
        on_host: false,
    }
}

/// Whether a device keeps fewer bits of each number in products of matrices than a type has.
///
/// burn multiplies matrices of 32-bit floats by the tensor cores of an NVIDIA GPU, which take 11 of
/// their 24 bits.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub(crate) fn rounds_products(device: &burn::backend::CubeDevice, kind: DType) -> bool {
    kind == DType::F32 && is_cuda(device)
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn is_cuda(device: &burn::backend::CubeDevice) -> bool {
    #[cfg(feature = "cuda")]
    return matches!(device, burn::backend::CubeDevice::Cuda(_));
    #[cfg(not(feature = "cuda"))]
    {
        let _ = device;
        false
    }
}

/// Whether a device is one of WebGPU.
fn is_wgpu(device: &Device) -> bool {
    #[cfg(feature = "wgpu")]
    {
        use burn::backend::{CubeDevice, DispatchDevice};
        matches!(
            device.clone().inner().as_dispatch(),
            DispatchDevice::Cube(CubeDevice::Wgpu(_))
        )
    }
    #[cfg(not(feature = "wgpu"))]
    {
        let _ = device;
        false
    }
}

/// A name with the number of this process in it.
fn ranked(name: &str, told: impl Fn(&str) -> Option<String>) -> Result<Cow<'_, str>> {
    if !name.contains(LOCAL_RANK) {
        return Ok(name.into());
    }
    let rank = RANKS.into_iter().find_map(told);
    let rank = rank.ok_or_else(|| Error::NoLocalRank { name: name.into() })?;
    Ok(name.replace(LOCAL_RANK, &rank).into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_the_device_of_its_local_rank() {
        let slurm = |name: &str| (name == "SLURM_LOCALID").then(|| "3".to_owned());
        let both = |name: &str| match name {
            "OMPI_COMM_WORLD_LOCAL_RANK" => Some("1".to_owned()),
            _ => slurm(name),
        };
        let named = |told: &dyn Fn(&str) -> Option<String>| {
            let name = ranked("cuda:{local_rank}", told).expect("told");
            name.into_owned()
        };
        assert_eq!(named(&slurm), "cuda:3");
        assert_eq!(named(&both), "cuda:1");
        assert_eq!(ranked("cuda:2", slurm).expect("a number"), "cuda:2");
        let error = ranked("cuda:{local_rank}", |_| None).expect_err("nothing tells it");
        assert!(matches!(error, Error::NoLocalRank { .. }), "{error}");
        for variable in RANKS {
            assert!(error.to_string().contains(variable), "{error}");
        }
    }
}
