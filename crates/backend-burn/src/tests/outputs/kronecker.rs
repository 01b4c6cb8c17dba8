//! Kronecker factors under losses that are declared otherwise.

use super::*;

/// Kronecker factors of one layer under class weights and sums, against the matrix written out.
#[test]
fn kronecker_factors_have_the_weights_of_the_loss() {
    let cases: [(&str, Loss, OutputLoss, Second); 3] = [
        (
            "class weights",
            class_weighted,
            OutputLoss::CrossEntropy,
            oracle::class_weighted,
        ),
        (
            "sum of squares",
            summed_squares,
            OutputLoss::MeanSquaredError,
            oracle::summed_squares,
        ),
        ("poisson", poisson, OutputLoss::Derived, oracle::poisson),
    ];
    for (name, loss, declared, second) in cases {
        for kronecker in [Kronecker::Kfac, Kronecker::Ekfac] {
            let (module, damping) = (Line::single(4), 0.05);
            let fields = vec![floats(&[SAMPLES, 4], 1.0), targets(4)];
            let train = Arc::new(ArrayDataset::new(fields.clone()).expect("a data set"));
            let influence = Fit::new(Own::new(loss, declared))
                .with_curvature(Curvature::GaussNewton)
                .with_kronecker(kronecker)
                .with_precision(Precision::F64)
                .with_tolerance(0.0)
                .with_damping(damping)
                .with_batch_size(4)
                .fit(&module, train)
                .expect("fitted");
            let dim = influence.source().layout().dim();
            let rhs = Array2::from_shape_vec((3, dim), wave(3 * dim, 5.0)).expect("rows");
            let rows = influence_core::GradientSource::rows(influence.source(), rhs.view());
            let solution = influence.solve(&rows.expect("rows")).expect("solved");
            let factors = solution.converged().and_then(|rows| rows.to_host());
            let batch = crate::batch_of(fields).expect("a batch");
            let mut matrix = factored(influence.source(), &batch, second, kronecker);
            matrix.diag_mut().mapv_inplace(|value| value + damping);
            let expected = testing::solve(&matrix, &rhs);
            let worst = largest(&(&factors.expect("factors") - &expected)) / largest(&expected);
            assert!(worst < 1e-9, "{name} {kronecker:?}: {worst:e}");
        }
    }
}

/// `A ⊗ S` of a linear layer with its bias last, or its eigenvectors with the curvature along them.
fn factored(
    source: &ModelGradients,
    batch: &Batch,
    second: Second,
    kronecker: Kronecker,
) -> Array2<f64> {
    let (outputs, _) = jacobian(source, batch);
    let read = |field: usize| -> Vec<f64> { batch.fields()[field].floats().collect() };
    let (inputs, targets) = (read(0), read(1));
    let (n, width) = (batch.len(), 4);
    let (mut of_inputs, mut of_gradients) = (Array2::zeros((5, 5)), Array2::zeros((width, width)));
    let mut samples = Vec::new();
    for sample in 0..n {
        let mut a = Array1::ones(5);
        a.slice_mut(s![..4])
            .assign(&Array1::from(inputs[4 * sample..4 * (sample + 1)].to_vec()));
        let own = second(
            &outputs.row(sample).to_vec(),
            &targets[4 * sample..4 * (sample + 1)],
        );
        let column = a.clone().insert_axis(ndarray::Axis(1));
        of_inputs += &(column.dot(&column.t()) / n as f64);
        of_gradients += &(&own / n as f64);
        samples.push((a, own));
    }
    let (inner, outer) = (eigen(&of_inputs), eigen(&of_gradients));
    let (inner, outer) = (inner.expect("eigenvectors"), outer.expect("eigenvectors"));
    let mut matrix = Array2::zeros((5 * width, 5 * width));
    for (i, j) in (0..5).flat_map(|i| (0..width).map(move |j| (i, j))) {
        let (u, q) = (inner.vectors.column(i), outer.vectors.column(j));
        let value = match kronecker {
            Kronecker::Kfac => inner.values[i] * outer.values[j],
            Kronecker::Ekfac => {
                let along = samples
                    .iter()
                    .map(|(a, own)| a.dot(&u).powi(2) * q.dot(&own.dot(&q)));
                along.sum::<f64>() / n as f64
            }
        };
        let direction: Array1<f64> = u
            .iter()
            .flat_map(|u| q.iter().map(move |q| u * q))
            .collect();
        let column = direction.insert_axis(ndarray::Axis(1));
        matrix += &(column.dot(&column.t()) * value);
    }
    matrix
}
