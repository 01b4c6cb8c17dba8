use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use burn::tensor::{DType, Device, Tensor, TensorData};
use influence_backend_burn::{device, product};
use influence_core::Precision;
use serde::Serialize;

/// Rows and columns of the matrices that are multiplied.
const SIZE: usize = 768;
/// What rounding to 32 bits may leave of an error in a product, relative to its largest entry.
const ROUNDING: f64 = 1e-5;
/// Products are repeated for so long; the fastest counts.
const LONG_ENOUGH: Duration = Duration::from_millis(150);

/// How fast a device multiplies matrices, in 10⁹ operations per second; nothing for a precision
/// that it does not have.
#[derive(Debug, Serialize)]
pub(super) struct Speed {
    pub(super) device: String,
    /// What a GPU calls itself.
    adapter: Option<String>,
    f32_gflops: Option<f64>,
    f64_gflops: Option<f64>,
    /// The largest error of a product of matrices in f32, relative to the largest entry.
    f32_rounding: Option<f64>,
    /// Why there is no speed at all.
    error: Option<String>,
}

impl Speed {
    pub(super) fn measure(name: &str) -> Self {
        let mut speed = Self {
            device: name.to_owned(),
            adapter: None,
            f32_gflops: None,
            f64_gflops: None,
            f32_rounding: None,
            error: None,
        };
        let broken = "it was compiled in, but does not work here; use another device";
        speed.error = match device::open(name) {
            Err(error) => Some(error.to_string()),
            Ok(device) => match guarded(|| speed.fill(&device)) {
                Some(Ok(())) => None,
                Some(Err(error)) => Some(format!("{error}; use another device")),
                None => Some(broken.into()),
            },
        };
        speed
    }

    fn fill(&mut self, device: &Device) -> Result<(), String> {
        self.adapter = device::adapter(device);
        self.f32_gflops = Some(gigaflops(device, DType::F32)?);
        self.f32_rounding = Some(rounding(device)?);
        // A device may say that it has f64, and compute in f32 or not at all: what counts is what
        // comes of it.
        let has_double =
            device::supports(device, Precision::F64) && guarded(|| is_double(device)) == Some(true);
        let double = has_double.then(|| gigaflops(device, DType::F64));
        self.f64_gflops = double.transpose()?;
        Ok(())
    }

    pub(super) fn line(&self) -> String {
        let adapter = self.adapter.as_ref();
        let adapter = adapter.map_or_else(String::new, |name| format!("{name}: "));
        if let Some(error) = &self.error {
            return format!("{adapter}{error}");
        }
        let single = self.f32_gflops.map_or_else(
            || "f32: not on this device".to_owned(),
            |rate| format!("f32 {rate:.0} GFLOP/s"),
        );
        let double = self.f64_gflops.map_or_else(
            || "f64: not on this device; use cpu".to_owned(),
            |rate| format!("f64 {rate:.0} GFLOP/s"),
        );
        // Tensor cores may round the factors to 10 bits, and nothing says so.
        let rounding = self.f32_rounding.filter(|&error| error > ROUNDING);
        let rounding = rounding.map_or_else(String::new, |error| {
            format!("; f32 has errors of {error:.0e}: use f64, or another device")
        });
        format!("{adapter}{single}, {double}, products of {SIZE} x {SIZE}{rounding}")
    }
}

/// The result of some work, or nothing if it panics, which is how missing drivers show.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    std::panic::set_hook(hook);
    outcome.ok()
}

/// Whether a sum keeps what only 64 bits can hold.
fn is_double(device: &Device) -> bool {
    const SMALL: f64 = 1e-12;
    let of = |value: f64| {
        let data = TensorData::new(vec![value], [1]).convert_dtype(DType::F64);
        Tensor::<1>::from_data(data, (device, DType::F64))
    };
    let kept = read(of(1.0) + of(SMALL) - of(1.0));
    kept.is_ok_and(|kept| (kept[0] / SMALL - 1.0).abs() < 1e-3)
}

fn gigaflops(device: &Device, dtype: DType) -> Result<f64, String> {
    let value = |index: usize| (index % 7) as f32 - 3.0;
    let matrix = |shift: usize| {
        let values = (0..SIZE * SIZE).map(|index| value(index + shift));
        let data = TensorData::new(values.collect::<Vec<_>>(), [SIZE, SIZE]);
        Tensor::<2>::from_data(data.convert_dtype(dtype), (device, dtype))
    };
    let (a, b) = (matrix(0), matrix(3));
    // Of the last row of the product: whole numbers, so that they are exact in 32 bits too.
    let last = (SIZE - 1) * SIZE;
    let expected = |column: usize| -> f64 {
        let terms = (0..SIZE).map(|k| value(last + k) * value(k * SIZE + column + 3));
        terms.map(f64::from).sum()
    };
    let expected: Vec<f64> = (0..SIZE).map(expected).collect();
    let (mut best, started) = (f64::INFINITY, Instant::now());
    // The first product pays for what is set up once.
    for round in 0.. {
        waited(device)?;
        let began = Instant::now();
        let product = product(a.clone(), b.clone());
        waited(device)?;
        let found = read(product.slice([SIZE - 1..SIZE, 0..SIZE]))?;
        let seconds = began.elapsed().as_secs_f64();
        if found != expected {
            return Err("it computes wrong products of matrices".into());
        }
        if round > 0 {
            best = best.min(seconds);
        }
        if round > 2 && started.elapsed() > LONG_ENOUGH {
            break;
        }
    }
    Ok(2.0 * (SIZE as f64).powi(3) / best / 1e9)
}

/// The largest error of the last row of a product in f32, relative to the largest entry.
fn rounding(device: &Device) -> Result<f64, String> {
    let value = |index: usize| (index as f32 * 1.7).sin();
    let matrix = |shift: usize| {
        let values = (0..SIZE * SIZE).map(|index| value(index + shift));
        let data = TensorData::new(values.collect::<Vec<_>>(), [SIZE, SIZE]);
        Tensor::<2>::from_data(data, (device, DType::F32))
    };
    let found = read(product(matrix(0), matrix(3)).slice([SIZE - 1..SIZE, 0..SIZE]))?;
    let last = (SIZE - 1) * SIZE;
    let (mut error, mut largest) = (0.0_f64, 0.0_f64);
    for (column, found) in found.into_iter().enumerate() {
        let term = |k| f64::from(value(last + k)) * f64::from(value(k * SIZE + column + 3));
        let expected: f64 = (0..SIZE).map(term).sum();
        error = error.max((found - expected).abs());
        largest = largest.max(expected.abs());
    }
    Ok(error / largest)
}

/// Waits for all that a device was asked to do: some take orders long before they carry them out.
fn waited(device: &Device) -> Result<(), String> {
    device.sync().map_err(|error| error.to_string())
}

/// The numbers of a tensor.
fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f64>, String> {
    let data = tensor.try_into_data().map_err(|error| error.to_string())?;
    Ok(data.iter::<f64>().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_what_follows() {
        let speed = |f64_gflops, rounding, error: Option<&str>| Speed {
            device: "wgpu".into(),
            adapter: Some("Graphics 7".into()),
            f32_gflops: Some(1234.4),
            f64_gflops,
            f32_rounding: Some(rounding),
            error: error.map(str::to_owned),
        };
        for (speed, expected) in [
            (
                speed(Some(600.0), 1e-7, None),
                "Graphics 7: f32 1234 GFLOP/s, f64 600 GFLOP/s",
            ),
            (speed(None, 1e-7, None), "f64: not on this device; use cpu"),
            (
                speed(Some(1.0), 4e-4, None),
                "f32 has errors of 4e-4: use f64, or another device",
            ),
            (
                speed(None, 1e-7, Some("no driver; use another device")),
                "Graphics 7: no driver; use another device",
            ),
        ] {
            assert!(speed.line().contains(expected), "{}", speed.line());
        }
    }

    #[test]
    fn a_panic_is_an_answer() {
        assert_eq!(guarded(|| 3), Some(3));
        let outcome: Option<()> = guarded(|| panic!("no adapter"));
        assert_eq!(outcome, None);
    }
}
