//! The charts of a page as files.

use std::fs;

use super::Folder;

/// The files of a folder, sorted.
fn files(folder: &Folder, name: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.path(name)).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn every_chart_becomes_a_file() {
    let folder = Folder::computed();
    folder.done(&[
        "run",
        "influence.toml",
        "--overwrite",
        "--set",
        "method.name=cg",
        "--set",
        "method.rtol=1e-4",
    ]);
    let report = [
        "report",
        "influences.zarr",
        "--self",
        "self.zarr",
        "--plots",
        "plots",
    ];
    let said = folder.done(&[&report[..], &["--png"]].concat());
    assert!(said.ends_with("wrote 7 charts to plots\n"), "{said}");
    let words = [
        ("distribution", ["influence", "pairs"]),
        ("iterations", ["test point", "iterations"]),
        ("loss", ["loss of a training point", "points"]),
        (
            "mean-influence",
            ["mean influence of a training point", "points"],
        ),
        ("residuals", ["test point", "relative residual"]),
        (
            "self-influence",
            ["self-influence of a training point", "points"],
        ),
        ("timings", ["seconds", "scores"]),
    ];
    let expected = words.map(|(name, _)| [format!("{name}.png"), format!("{name}.svg")]);
    assert_eq!(files(&folder, "plots"), expected.concat());
    for (name, words) in words {
        let read = |ending: &str| fs::read(folder.path(&format!("plots/{name}.{ending}")));
        let svg = String::from_utf8(read("svg").expect("SVG")).expect("text");
        assert!(svg.starts_with("<svg width=\"600\""), "{svg}");
        assert!(words.iter().all(|word| svg.contains(word)), "{name}");
        let png = image::load_from_memory(&read("png").expect("PNG")).expect("a picture");
        let png = png.to_rgb8();
        assert_eq!(png.width(), 1200);
        // Below the axis there is only text.
        let foot = png
            .enumerate_pixels()
            .filter(|(_, y, _)| y + 60 > png.height());
        let dark = foot.filter(|(.., pixel)| pixel.0.iter().all(|&level| level < 110));
        assert!(dark.count() > 100, "{name}");
        let drawn = png
            .pixels()
            .filter(|pixel| pixel.0 == [31, 119, 180])
            .count();
        assert!(drawn > 500, "{name}: {drawn}");
    }
    // Nothing is replaced without `--overwrite`.
    fs::write(folder.path("plots/timings.svg"), "mine").expect("written");
    let complaint = folder.refused(&report);
    assert!(complaint.contains("--overwrite"), "{complaint}");
    let read = || fs::read_to_string(folder.path("plots/timings.svg")).expect("there");
    assert_eq!(read(), "mine");
    folder.done(&[&report[..], &["--overwrite"]].concat());
    assert!(read().starts_with("<svg"));
    let complaint = folder.refused(&["report", "influences.zarr", "--plots", "influence.toml"]);
    assert!(complaint.contains("is not a folder"), "{complaint}");
}
