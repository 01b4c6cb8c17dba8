use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use burn::tensor::{DType, Device, Tensor, TensorData};
use influence_backend_burn::device;
use serde::Serialize;

/// Rows and columns of the matrices that are multiplied.
const SIZE: usize = 768;
/// Products are repeated for so long; the fastest counts.
const LONG_ENOUGH: Duration = Duration::from_millis(150);

/// How fast a device multiplies matrices, in 10⁹ operations per second; nothing for a precision that it does not have.
#[derive(Debug, Serialize)]
pub(super) struct Speed {
    pub(super) device: String,
    f32_gflops: Option<f64>,
    f64_gflops: Option<f64>,
    /// Why there is no speed at all.
    error: Option<String>,
}

impl Speed {
    pub(super) fn measure(name: &str) -> Self {
        let mut speed = Self {
            device: name.to_owned(),
            f32_gflops: None,
            f64_gflops: None,
            error: None,
        };
        match device::open(name) {
            Err(error) => speed.error = Some(error.to_string()),
            Ok(device) => match guarded(|| rates(&device)) {
                Some([f32_gflops, f64_gflops]) => {
                    (speed.f32_gflops, speed.f64_gflops) = (f32_gflops, f64_gflops);
                }
                None => speed.error = Some("it was compiled in, but does not work here".into()),
            },
        }
        speed
    }

    pub(super) fn line(&self) -> String {
        if let Some(error) = &self.error {
            return format!("{error}; use another device");
        }
        let single = self.f32_gflops.map_or_else(
            || "f32: not on this device".to_owned(),
            |rate| format!("f32 {rate:.0} GFLOP/s"),
        );
        let double = self.f64_gflops.map_or_else(
            || "f64: not on this device; use cpu".to_owned(),
            |rate| format!("f64 {rate:.0} GFLOP/s"),
        );
        format!("{single}, {double}, products of {SIZE} x {SIZE}")
    }
}

/// What comes of some work, nothing if it panics: drivers that are missing are told of in no other way.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    std::panic::set_hook(hook);
    outcome.ok()
}

fn rates(device: &Device) -> [Option<f64>; 2] {
    [DType::F32, DType::F64].map(|dtype| {
        device
            .supports_dtype(dtype)
            .then(|| gigaflops(device, dtype))
    })
}

fn gigaflops(device: &Device, dtype: DType) -> f64 {
    let matrix = |shift: usize| {
        let values = (0..SIZE * SIZE).map(|index| ((index + shift) % 7) as f32 - 3.0);
        let data = TensorData::new(values.collect::<Vec<_>>(), [SIZE, SIZE]);
        Tensor::<2>::from_data(data.convert_dtype(dtype), (device, dtype))
    };
    let (a, b) = (matrix(0), matrix(3));
    let (mut best, started) = (f64::INFINITY, Instant::now());
    // The first product pays for what is set up once.
    for round in 0.. {
        let began = Instant::now();
        // Reading a number waits for the device.
        let _ = a.clone().matmul(b.clone()).sum().into_data();
        if round > 0 {
            best = best.min(began.elapsed().as_secs_f64());
        }
        if round > 2 && started.elapsed() > LONG_ENOUGH {
            break;
        }
    }
    2.0 * (SIZE as f64).powi(3) / best / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_what_follows() {
        let speed = |f64_gflops, error: Option<&str>| Speed {
            device: "wgpu".into(),
            f32_gflops: Some(1234.4),
            f64_gflops,
            error: error.map(str::to_owned),
        };
        for (speed, expected) in [
            (
                speed(Some(600.0), None),
                "f32 1234 GFLOP/s, f64 600 GFLOP/s",
            ),
            (speed(None, None), "f64: not on this device; use cpu"),
            (
                speed(None, Some("no driver")),
                "no driver; use another device",
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
