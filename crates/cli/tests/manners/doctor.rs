//! `influence doctor`.

use serde_json::Value;

use crate::{folder::Folder, program::said};

#[test]
fn it_says_what_the_machine_can_do() {
    let folder = Folder::new();
    let (out, complaint, code) = said(&folder.path(""), &["doctor"]);
    assert_eq!((complaint.as_str(), code), ("", Some(0)));
    for name in [
        "version",
        "features",
        "processor",
        "memory",
        "bound",
        "temporary",
        "device cpu",
    ] {
        let line = out.lines().find(|line| line.starts_with(name));
        assert!(line.is_some_and(|line| line.len() > 16), "{name}: {out}");
    }
    for (device, there) in [
        ("wgpu", cfg!(feature = "wgpu")),
        ("cuda", cfg!(feature = "cuda")),
    ] {
        let advice = format!("build with --features {device}");
        assert_eq!(out.contains(&advice), !there, "{out}");
    }
}

#[test]
fn programs_get_numbers() {
    let folder = Folder::new();
    let (out, _, code) = said(&folder.path(""), &["doctor", "--json"]);
    assert_eq!(code, Some(0));
    let found: Value = serde_json::from_str(&out).expect("an object");
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(found["default_bound"], 1 << 30);
    assert!(found["processor"]["threads"].as_u64() > Some(0), "{out}");
    assert_eq!(found["temporary"]["writable"], true);
    let devices = found["devices"].as_array().expect("a list");
    let cpu = devices.iter().find(|device| device["device"] == "cpu");
    let cpu = cpu.expect("the device of this build");
    for key in ["f32_gflops", "f64_gflops"] {
        let rate = cpu[key].as_f64().expect("a number");
        assert!(rate > 0.01 && rate < 1e6, "{key}: {rate}");
    }
}

#[test]
#[cfg(unix)]
fn a_folder_that_cannot_be_used_comes_with_advice() {
    let folder = Folder::new();
    let mut command = crate::program::program(&folder.path(""), &["doctor"]);
    let output = command.env("TMPDIR", folder.path("nowhere")).output();
    let (out, _, code) = crate::program::texts(&output.expect("the binary runs"));
    assert_eq!(code, Some(0));
    assert!(
        out.contains("nowhere cannot be written to: set TMPDIR"),
        "{out}"
    );
}
