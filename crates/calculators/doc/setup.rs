use influence_core::{solver::Direct, testing::{LeastSquares, Samples, SamplesDataset}};

let (train, test) = (Samples::random(7, 2, 1), Samples::random(3, 2, 2));
let model = LeastSquares::random(2, 3).fit(&train, 0.1, &Direct)?;
let (train, test) = (SamplesDataset(train), SamplesDataset(test));
