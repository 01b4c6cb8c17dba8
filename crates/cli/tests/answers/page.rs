//! The page of `influence report`, as text and in a browser.

use std::{fs, path::Path, process::Command};

use super::{Folder, npy};

/// What Chromium is called where it is installed.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// What keeps it from looking for a network or a display.
const OPTIONS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

fn reported() -> Folder {
    let folder = Folder::computed();
    let mut truth = vec![0_i64; 120];
    truth[0] = 1;
    npy::write(&folder.path("truth.npy"), &truth, &[120]);
    let said = folder.done(&[
        "report",
        "influences.zarr",
        "--self",
        "self.zarr",
        "--truth",
        "truth.npy",
        "--image",
        "8x8",
        "--show",
        "3",
        "-k",
        "4",
        "--suspects",
        "10",
    ]);
    assert_eq!(said, "wrote influences.html: open it in a browser\n");
    folder
}

#[test]
fn a_page_has_all_its_parts_and_needs_nothing_else() {
    let folder = reported();
    let page = fs::read_to_string(folder.path("influences.html")).expect("the page");
    let parts = [
        "points",
        "mean-influence",
        "self-influence",
        "distribution",
        "solver",
        "settings",
    ];
    for part in parts {
        assert!(page.contains(&format!("<section id=\"{part}\">")), "{part}");
    }
    // Three test points, four training points on either side of each, ten suspects by two scores.
    assert_eq!(
        page.matches("<img src=\"data:image/png;base64,").count(),
        3 + 3 * 8 + 20
    );
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(
        page.contains("test point 4") && page.contains("(truly"),
        "{page}"
    );
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    assert!(
        !addresses.contains("http:") && !addresses.contains("https:") && !page.contains("<script")
    );
    // A page of its own is replaced, another file is not.
    folder.done(&["report", "influences.zarr"]);
    fs::write(folder.path("mine.html"), "mine").expect("written");
    let complaint = folder.refused(&["report", "influences.zarr", "--html", "mine.html"]);
    assert!(
        complaint.contains("no report of this program"),
        "{complaint}"
    );
    assert_eq!(
        fs::read_to_string(folder.path("mine.html")).expect("there"),
        "mine"
    );
    let complaint = folder.refused(&["report", "influences.zarr", "--image", "9x9"]);
    assert!(complaint.contains("64 numbers"), "{complaint}");
}

/// Names come from paths, which may hold anything.
#[test]
fn text_in_a_page_is_text() {
    let folder = Folder::computed();
    fs::rename(folder.path("influences.zarr"), folder.path("<b>&.zarr")).expect("renamed");
    folder.done(&["report", "<b>&.zarr"]);
    let page = fs::read_to_string(folder.path("<b>&.html")).expect("the page");
    assert!(page.contains("&lt;b&gt;&amp;.zarr") && !page.contains("<b>&"));
    // Without a size, flat inputs are shown as numbers.
    assert!(!page.contains("<img") && page.contains("<code class=\"numbers\">"));
}

#[test]
fn a_browser_shows_the_page() {
    let browser = BROWSERS.into_iter().find(|name| {
        Command::new(name)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    });
    let Some(browser) = browser else {
        println!("skipped: there is no Chromium on this machine");
        return;
    };
    let folder = reported();
    let shot = folder.path("page.png");
    let page = format!("file://{}", folder.path("influences.html").display());
    let output = Command::new(browser)
        .args(OPTIONS)
        .arg(format!(
            "--user-data-dir={}",
            folder.path("profile").display()
        ))
        .arg(format!("--screenshot={}", shot.display()))
        .args(["--window-size=1140,2600", "--hide-scrollbars"])
        .arg(page)
        .output()
        .expect("the browser runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    check(&shot);
}

/// The colours of the two sides, dark pictures and light paper are all there.
fn check(shot: &Path) {
    let image = image::open(shot).expect("a picture").to_rgb8();
    let count = |[r, g, b]: [u8; 3]| image.pixels().filter(|pixel| pixel.0 == [r, g, b]).count();
    let (helpful, harmful) = (count([31, 119, 180]), count([192, 57, 43]));
    let (black, white) = (count([0, 0, 0]), count([255, 255, 255]));
    assert!(
        helpful > 2000,
        "bars and headings of helpful points: {helpful}"
    );
    assert!(
        harmful > 2000,
        "bars and headings of harmful points: {harmful}"
    );
    assert!(black > 20_000, "47 digits on black: {black}");
    assert!(white > image.pixels().len() / 2, "paper: {white}");
}
