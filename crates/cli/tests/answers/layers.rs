//! The share of the influence through each layer.

use ndarray::{Array3, Axis};

use super::{Folder, stored};

const BLOCKS: [&str; 6] = [
    "--set",
    "output.path=blocks.zarr",
    "--set",
    "compute.mode=by-block",
    "--set",
    "method.blocks=layer-wise",
];

impl Folder {
    /// Computes the influences by layer.
    pub(super) fn by_layer(&self) {
        self.done(&[&["run", "influence.toml"], &BLOCKS[..]].concat());
    }

    fn refused_layers(&self, settings: &[&str], blocks: &str) -> String {
        let output = format!("output.path={blocks}");
        let run = ["run", "influence.toml"];
        self.done(&[&run, &BLOCKS[..], settings, &["--set", &output]].concat());
        self.refused(&["report", "influences.zarr", "--by-layer", blocks])
    }
}

/// The numbers in the row of a table with this name.
fn row(page: &str, name: &str) -> Vec<f64> {
    let start = format!("<th scope=\"row\">{name}</th>");
    let (_, rest) = page.split_once(&start).expect("the row");
    let (cells, _) = rest.split_once("</tr>").expect("its end");
    cells
        .split("<td>")
        .skip(1)
        .map(|cell| {
            let text = cell.trim_end_matches("</td>").trim_end_matches(" %");
            text.parse().expect("a number")
        })
        .collect()
}

#[test]
fn shares_are_those_of_the_array() {
    let folder = Folder::computed();
    folder.by_layer();
    folder.done(&[
        "report",
        "influences.zarr",
        "--by-layer",
        "blocks.zarr",
        "--points",
        "4,17",
    ]);
    let page = std::fs::read_to_string(folder.path("influences.html")).expect("the page");
    let blocks: Array3<f64> = stored(&folder.path("blocks.zarr"), "influences")
        .into_dimensionality()
        .expect("test by train by block");
    let magnitudes = blocks.mapv(f64::abs);
    let total = magnitudes.sum();
    for (block, name) in ["fc1", "fc2"].into_iter().enumerate() {
        let through = magnitudes.index_axis(Axis(2), block);
        let [share, mean] = row(&page, name)[..] else {
            panic!("two numbers of {name}");
        };
        let expected = 100.0 * through.sum() / total;
        assert!((share - expected).abs() <= 0.51, "{share} {expected}");
        let expected = through.mean().expect("pairs");
        assert!((mean / expected - 1.0).abs() < 6e-3, "{mean} {expected}");
    }
    for test in [4, 17] {
        let of_test = magnitudes.index_axis(Axis(0), test).sum_axis(Axis(0));
        let foremost = usize::from(of_test[0] < of_test[1]);
        let percent = 100.0 * of_test[foremost] / of_test.sum();
        let expected = format!("most through {} ({percent:.0} %)", ["fc1", "fc2"][foremost]);
        assert!(page.contains(&expected), "{expected}");
    }
}

#[test]
fn layers_of_another_run_are_refused() {
    let folder = Folder::computed();
    let other = [
        "data.test.inputs=x_train.npy",
        "data.test.targets=y_train.npy",
    ];
    let other = ["--set", other[0], "--set", other[1]];
    let complaint = folder.refused_layers(&other, "train.zarr");
    assert!(
        complaint.contains("120 training points on 30 test points"),
        "{complaint}"
    );
    let damped = ["--set", "method.damping=0.7"];
    let complaint = folder.refused_layers(&damped, "damped.zarr");
    assert!(complaint.contains("made with damping 0.7"), "{complaint}");
    super::npy::write(&folder.path("zeros.npy"), &[0_i64; 30], &[30]);
    let labels = ["--set", "data.test.targets=zeros.npy"];
    let complaint = folder.refused_layers(&labels, "labels.zarr");
    assert!(complaint.contains("other weights or data"), "{complaint}");
    for output in ["influences.zarr", "self.zarr"] {
        let complaint = folder.refused(&["report", "influences.zarr", "--by-layer", output]);
        assert!(complaint.contains("(test, train, block)"), "{complaint}");
    }
}
