//! Labels drawn from the outputs, and closed forms in 32 bits.

use super::*;

#[test]
fn draws_have_the_second_derivative_of_the_loss_as_their_second_moment() {
    let cases: [(&str, Loss, OutputLoss, Second); 3] = [
        (
            "class weights",
            class_weighted,
            OutputLoss::CrossEntropy,
            oracle::class_weighted,
        ),
        (
            "masked binary",
            masked_binary,
            OutputLoss::BinaryCrossEntropy,
            oracle::masked_binary,
        ),
        ("log-cosh", log_cosh, OutputLoss::Derived, oracle::log_cosh),
    ];
    for (name, loss, declared, second) in cases {
        let fields = vec![floats(&[SAMPLES, 4], 1.0), targets(4)];
        let batch = crate::batch_of(fields).expect("a batch");
        let source = source(
            Own::new(loss, declared),
            &Line::single(4),
            &batch,
            Precision::F64,
        );
        let source = source.expect("a source");
        let (expected, _) = expected(&source, &batch, second);
        let errors = [10, 400].map(|draws| {
            let curvature = Curvature::Fisher { draws, seed: 3 };
            let drawn = source.curvature_vectors(curvature, &batch, 0);
            let dim = source.layout().dim();
            let mut found = Array2::<f64>::zeros((dim, dim));
            for vectors in drawn.expect("draws").plus {
                let rows = host(&vectors.to_rows()).expect("values");
                let rows = Array2::from_shape_vec((SAMPLES, dim), rows).expect("rows");
                found += &(rows.t().dot(&rows) / SAMPLES as f64);
            }
            largest(&(&found - &expected)) / largest(&expected)
        });
        assert!(
            errors[1] < 0.2 && errors[1] < 0.6 * errors[0],
            "{name}: {errors:?}"
        );
    }
}

/// Where the softmax saturates, 32 bits keep the curvature of the closed form.
#[test]
fn closed_forms_do_not_cancel_in_32_bits() {
    let steep: Vec<f64> = wave(SAMPLES * 4, 1.0).iter().map(|x| 20.0 * x).collect();
    let fields = vec![TensorData::new(steep, [SAMPLES, 4]), targets(4)];
    let batch = crate::batch_of(fields.clone()).expect("a batch");
    let of = |precision| {
        let task = Own::new(class_weighted, OutputLoss::CrossEntropy);
        source(task, &Line::single(4), &batch, precision).expect("a source")
    };
    let (expected, _) = expected(&of(Precision::F64), &batch, oracle::class_weighted);
    let [rounded, _] = formed(&of(Precision::F32), fields, Curvature::GaussNewton);
    let worst = largest(&(&rounded - &expected)) / largest(&expected);
    assert!(worst < 1e-4, "{worst:e}");
}
