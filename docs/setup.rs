// What the examples of the guide share, out of the reader's sight: a small network, made-up data, and a folder to write to.
use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData},
};
use influence::{ArrayDataset, Classification, Task};

#[derive(Module, Debug)]
pub struct Net {
    first: Linear,
    last: Linear,
}

impl Net {
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(self.first.forward(x).tanh())
    }
}

/// 2 inputs, 8 hidden units, 3 classes.
pub fn net() -> Net {
    let device = Device::flex();
    device.seed(0);
    Net {
        first: LinearConfig::new(2, 8).init(&device),
        last: LinearConfig::new(8, 3).init(&device),
    }
}

pub fn task() -> impl Task<Module = Net> {
    Classification::new(|net: &Net, x: Tensor<2>| net.forward(x))
}

/// Made-up points, the later ones different from the first.
pub fn data(points: std::ops::Range<usize>) -> ArrayDataset {
    let n = points.len();
    let x: Vec<f32> = (2 * points.start..2 * points.end)
        .map(|number| (number as f32 * 0.7).sin())
        .collect();
    let y: Vec<i64> = points.map(|point| point as i64 % 3).collect();
    ArrayDataset::new(vec![
        TensorData::new(x, [n, 2]),
        TensorData::new(y, [n]),
    ])
    .expect("as many labels as points")
}

/// Removed when it is dropped.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Writes made-up points as numpy has them.
pub fn write(inputs: &std::path::Path, targets: &std::path::Path, n: u64) -> std::io::Result<()> {
    use npyz::{WriteOptions, WriterBuilder};
    let (x, y) = (std::fs::File::create(inputs)?, std::fs::File::create(targets)?);
    let mut x = WriteOptions::new().default_dtype().shape(&[n, 2]).writer(x).begin_nd()?;
    x.extend((0..2 * n).map(|number| (number as f32 * 0.7).sin()))?;
    let mut y = WriteOptions::new().default_dtype().shape(&[n]).writer(y).begin_nd()?;
    y.extend((0..n as i64).map(|point| point % 3))?;
    x.finish()?;
    y.finish()
}
