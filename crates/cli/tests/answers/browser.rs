//! A browser without a display, where one is installed.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use image::RgbImage;

/// The names under which Chromium is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// Options that keep it from using a network or a display.
const OPTIONS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Chromium, with a profile and pictures in a folder of the test.
pub(super) struct Browser {
    program: &'static str,
    folder: PathBuf,
}

impl Browser {
    /// `None` where it is not installed, with a note on stderr.
    pub(super) fn find(folder: PathBuf) -> Option<Self> {
        let installed = |name: &&str| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        let program = NAMES.into_iter().find(installed);
        if program.is_none() {
            println!("skipped: there is no Chromium on this machine");
        }
        program.map(|program| Self { program, folder })
    }

    /// The page in a window of this size.
    pub(super) fn shot(&self, page: &str, window: [u32; 2]) -> RgbImage {
        let shot = self.folder.join("shot.png");
        self.open(page, window, &format!("--screenshot={}", shot.display()));
        image::open(&shot).expect("a picture").to_rgb8()
    }

    /// The page as the browser parsed it.
    pub(super) fn dom(&self, page: &str, window: [u32; 2]) -> String {
        let output = self.open(page, window, "--dump-dom");
        String::from_utf8(output.stdout).expect("text")
    }

    fn open(&self, page: &str, [width, height]: [u32; 2], what: &str) -> Output {
        let path = self.folder.join("shown.html");
        fs::write(&path, page).expect("written");
        let output = Command::new(self.program)
            .args(OPTIONS)
            .arg(format!(
                "--user-data-dir={}",
                self.folder.join("profile").display()
            ))
            .arg(format!("--window-size={width},{height}"))
            .arg(what)
            .arg(format!("file://{}", path.display()))
            .output()
            .expect("the browser runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        output
    }
}
