//! Fits by several processes of the real binary, some of which are killed.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use crate::folder::Folder;

/// More training points than three leaves of a sum have.
const POINTS: usize = 6_500;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.config("[compute]\nthreads = 1\n", "");
    let inputs: Vec<f32> = (0..4 * POINTS).map(|i| (i as f32 * 0.7).sin()).collect();
    folder.array("x_train.npy", &inputs, &[POINTS as u64, 4]);
    let classes: Vec<u8> = (0..POINTS).map(|i| u8::from(i % 3 == 0)).collect();
    folder.array("y_train.npy", &classes, &[POINTS as u64]);
    folder
}

fn command(folder: &Folder, method: &str, file: &str, share: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    command.arg("fit").arg(folder.path("config.toml"));
    let path = folder.path(file);
    // A URL is no path in the folder.
    let is_url = file.contains("://");
    command
        .arg("--fitted")
        .arg(if is_url { Path::new(file) } else { &path });
    for setting in method.split(' ') {
        command.arg("--set").arg(format!("method.{setting}"));
    }
    if !share.is_empty() {
        command.args(["--share", share]);
    }
    command.stdin(Stdio::null());
    command
}

fn run(folder: &Folder, method: &str, file: &str, share: &str) -> Output {
    let mut command = command(folder, method, file, share);
    command.output().expect("the binary runs")
}

fn said(outcome: &Output) -> String {
    let both = [&outcome.stdout, &outcome.stderr];
    both.map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

const METHODS: [&str; 4] = [
    "name=direct curvature=gauss-newton",
    "name=ekfac curvature=gauss-newton",
    "name=nystroem curvature=gauss-newton rank=4",
    "name=arnoldi curvature=gauss-newton rank=4",
];

/// Calls three shares in turn until all have come to the end.
fn in_turn(folder: &Folder, method: &str, file: &str) {
    let mut done = [false; 3];
    for wave in 0..40 {
        for (index, done) in done.iter_mut().enumerate() {
            let outcome = run(folder, method, file, &format!("{index}/3"));
            let text = said(&outcome);
            match outcome.status.code() {
                Some(0) => *done = true,
                Some(75) => {
                    let advice = "run the other shares, then this one again";
                    assert!(text.contains(advice), "{text}");
                    assert!(!text.contains("error"), "{text}");
                    assert!(text.contains(&format!("{file}.shares")), "{text}");
                }
                _ => panic!("{text}"),
            }
        }
        if done == [true; 3] {
            return;
        }
        assert!(wave < 39, "{method}: no end");
    }
}

#[test]
fn shares_of_a_fit_end_with_the_bytes_of_one_process() {
    let folder = folder();
    for (index, method) in METHODS.into_iter().enumerate() {
        let (whole, shared) = (format!("{index}.one"), format!("{index}.shared"));
        let outcome = run(&folder, method, &whole, "");
        assert!(outcome.status.success(), "{}", said(&outcome));
        in_turn(&folder, method, &shared);
        let sums = folder.path(&format!("{shared}.shares"));
        assert!(!sums.exists(), "the folder of sums is gone");
        let [one, other] = [whole, shared].map(|file| fs::read(folder.path(&file)));
        assert!(one.expect("a file") == other.expect("a file"), "{method}");
    }
}

#[cfg(any(feature = "object-store", feature = "s3"))]
#[test]
fn a_fit_and_its_sums_may_be_in_an_object_store() {
    let folder = folder();
    let url = format!("file://{}", folder.path("store/fit one").display()).replace(' ', "%20");
    for method in METHODS {
        let outcome = run(&folder, method, "one", "");
        assert!(outcome.status.success(), "{}", said(&outcome));
        in_turn(&folder, method, &url);
        let read = |file: &str| fs::read(folder.path(file)).expect("a fit");
        assert!(read("one") == read("store/fit one"), "{method}");
        let kept = fs::read_dir(folder.path("store")).expect("a folder");
        assert_eq!(kept.count(), 1, "the sums are gone");
        // It is there, and a run takes it.
        assert!(run(&folder, method, &url, "1/3").status.success());
        let mut command = command(&folder, method, &url, "");
        let arguments: Vec<_> = command.get_args().skip(1).map(ToOwned::to_owned).collect();
        command = Command::new(env!("CARGO_BIN_EXE_influence"));
        command
            .arg("run")
            .args(arguments)
            .args(["--set", "output.path=x.zarr"]);
        let outcome = command.arg("--dry-run").output().expect("the binary runs");
        assert!(outcome.status.success(), "{}", said(&outcome));
        fs::remove_dir_all(folder.path("store")).expect("removed");
    }
    let outcome = run(&folder, METHODS[0], &url, "");
    assert!(outcome.status.success(), "{}", said(&outcome));
    let another = run(&folder, METHODS[1], &format!("{url}-2"), "0/2");
    assert_eq!(another.status.code(), Some(75), "{}", said(&another));
    let refused = said(&run(&folder, METHODS[2], &format!("{url}-2"), "1/2"));
    assert!(refused.contains("one-2.shares to begin again"), "{refused}");
}

#[test]
fn a_url_that_no_fit_can_be_kept_at_is_refused() {
    let folder = folder();
    let mut cases = vec![(
        "gopher://hole/fit",
        "--fitted: no store is known for gopher://",
    )];
    if cfg!(not(feature = "s3")) {
        cases.push(("s3://bucket/fit", "--fitted: s3:// needs the feature `s3`"));
    }
    if cfg!(feature = "http") {
        cases.push((
            "http://host/fit",
            "--fitted: http://host/fit can only be read",
        ));
    }
    for (url, expected) in cases {
        for share in ["", "0/2"] {
            let outcome = run(&folder, METHODS[0], url, share);
            assert_eq!(outcome.status.code(), Some(2));
            assert!(said(&outcome).contains(expected), "{}", said(&outcome));
        }
    }
}

fn spawn(folder: &Folder, share: &str) -> Child {
    let mut command = command(folder, METHODS[3], "fit", share);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the binary runs")
}

/// How many sums are kept; files come and go meanwhile.
fn sums(folder: &Folder) -> usize {
    let entries = |path| fs::read_dir(path).into_iter().flatten().flatten();
    let passes = entries(folder.path("fit.shares"));
    let files = passes.flat_map(|pass| entries(pass.path()));
    let kept = files.filter(|file| !file.file_name().to_string_lossy().starts_with('.'));
    kept.count()
}

#[test]
fn a_fit_that_is_killed_again_and_again_comes_to_its_end() {
    let folder = folder();
    let outcome = run(&folder, METHODS[3], "one", "");
    assert!(outcome.status.success(), "{}", said(&outcome));
    let mut killed = 0;
    // The shares run at once, one of them twice; each is killed whenever sums have been kept.
    for _ in 0..200 {
        let before = sums(&folder);
        let mut running = ["0/2", "1/2", "1/2"].map(|share| spawn(&folder, share));
        while sums(&folder) <= before + 1
            && running
                .iter_mut()
                .any(|child| child.try_wait().expect("a child").is_none())
        {
            thread::sleep(Duration::from_millis(2));
        }
        for child in &mut running {
            killed += usize::from(child.try_wait().expect("a child").is_none());
            child.kill().expect("killed, or gone");
            child.wait().expect("it ends");
        }
        if folder.path("fit").exists() {
            if killed > 2 {
                break;
            }
            // It came to its end too soon to say anything.
            fs::remove_file(folder.path("fit")).expect("a file");
        }
    }
    assert!(killed > 2, "{killed}");
    for share in ["0/2", "1/2", "0/1"] {
        let outcome = run(&folder, METHODS[3], "fit", share);
        assert!(outcome.status.success(), "{}", said(&outcome));
    }
    let [one, other] = ["one", "fit"].map(|file| fs::read(folder.path(file)).expect("a file"));
    assert!(one == other);
    assert_eq!(sums(&folder), 0);
}

#[test]
fn shares_of_different_fits_are_refused_and_named() {
    let folder = folder();
    assert_eq!(
        run(&folder, METHODS[2], "fit", "0/2").status.code(),
        Some(75)
    );
    let outcome = run(&folder, METHODS[3], "fit", "1/2");
    assert_eq!(outcome.status.code(), Some(2));
    let text = said(&outcome);
    assert!(
        text.contains("fit.json is of a fit with method Nystroem"),
        "{text}"
    );
    assert!(text.contains("fit.shares to begin again"), "{text}");
    for (share, expected) in [
        ("2/2", "share must be a number and a count"),
        ("x", "0/4 to 3/4"),
    ] {
        let outcome = run(&folder, METHODS[2], "fit", share);
        assert_eq!(outcome.status.code(), Some(2));
        assert!(said(&outcome).contains(expected), "{}", said(&outcome));
    }
}
