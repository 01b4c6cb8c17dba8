//! The page of `influence report`, as text and in a browser.

use std::fs;

use image::RgbImage;

use super::{Folder, browser::Browser, npy};

/// The sections of a complete page, and how much must be visible in each.
const SECTIONS: [(&str, &[Content]); 9] = [
    ("points", &[Content::Pictures(20_000), Content::Text]),
    ("loss", &[Content::Pictures(8000), Content::Bars]),
    ("self-influence", &[Content::Pictures(8000), Content::Bars]),
    ("mean-influence", &[Content::Pictures(8000), Content::Bars]),
    ("distribution", &[Content::Bars]),
    ("layers", &[Content::Bars, Content::Text]),
    ("solver", &[Content::Text]),
    ("timings", &[Content::Bars, Content::Text]),
    ("settings", &[Content::Text]),
];

/// The content that must be visible in a section.
enum Content {
    /// At least this many black pixels.
    Pictures(usize),
    /// Areas in the colours of charts.
    Bars,
    /// Dark pixels on light ones.
    Text,
}

fn reported() -> Folder {
    let folder = Folder::computed();
    folder.by_layer();
    let mut truth = vec![0_i64; 120];
    truth[0] = 1;
    npy::write(&folder.path("truth.npy"), &truth, &[120]);
    let said = folder.done(&[
        "report",
        "influences.zarr",
        "--self",
        "self.zarr",
        "--by-layer",
        "blocks.zarr",
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
    for (section, _) in SECTIONS {
        let start = format!("<section id=\"{section}\" aria-labelledby=\"{section}-title\">");
        assert!(page.contains(&start), "{section}");
        assert!(
            page.contains(&format!("<a href=\"#{section}\">")),
            "{section}"
        );
    }
    // Three test points, four training points on either side of each, ten suspects by three scores.
    assert_eq!(
        page.matches("<img src=\"data:image/png;base64,").count(),
        3 + 3 * 8 + 30
    );
    // Three scores, all influences, layers, timings: each with a text for those who cannot see it.
    assert_eq!(page.matches("<svg").count(), 6);
    assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), 6);
    assert!(!page.contains("alt=\"\"") && !page.contains("aria-label=\"\""));
    assert!(
        page.contains("test point 4") && page.contains("(truly"),
        "{page}"
    );
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    assert!(
        !addresses.contains("http:") && !addresses.contains("https:") && !page.contains("<script")
    );
    // A page of the program is replaced, another file is not.
    folder.done(&["report", "influences.zarr"]);
    fs::write(folder.path("mine.html"), "mine").expect("written");
    let complaint = folder.refused(&["report", "influences.zarr", "--html", "mine.html"]);
    assert!(
        complaint.contains("not a report of this program"),
        "{complaint}"
    );
    assert_eq!(
        fs::read_to_string(folder.path("mine.html")).expect("there"),
        "mine"
    );
    let complaint = folder.refused(&["report", "influences.zarr", "--image", "9x9"]);
    assert!(complaint.contains("64 numbers"), "{complaint}");
}

/// Names come from paths, which may contain any character.
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

/// The summary at the top of the page, and the counts of the solver.
#[test]
fn the_summary_is_that_of_the_run() {
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
    folder.done(&["report", "influences.zarr"]);
    let page = fs::read_to_string(folder.path("influences.html")).expect("the page");
    let influences = folder.influences();
    let negative = influences.iter().filter(|&&value| value < 0.0).count();
    let share = format!("{:.1} % of all pairs", 100.0 * negative as f64 / 3600.0);
    for (name, value) in [
        ("Model", "model<wbr>.pt, 910 parameters"),
        ("Points", "120 training, 30 test"),
        ("Negative influences", &share),
        ("Test rows solved", "30 of 30 converged"),
    ] {
        let shown = format!("<dt>{name}</dt><dd>{value}</dd>");
        assert!(page.contains(&shown), "{shown}");
    }
    assert!(page.contains("<dt>Method</dt><dd>cg, "));
    assert!(page.contains("<th scope=\"row\">converged</th><td>30</td>"));
    // Residuals and iterations, a dot for each test point.
    assert_eq!(page.matches("<circle").count(), 60);
    assert!(page.contains("aria-label=\"The iterations of each test point\""));
}

#[test]
fn a_browser_shows_every_section() {
    let folder = reported();
    let Some(browser) = Browser::find(folder.path("")) else {
        return;
    };
    let page = fs::read_to_string(folder.path("influences.html")).expect("the page");
    let size = [1200, 6000];
    let understood = browser.dom(&page, size);
    for (section, _) in SECTIONS {
        assert!(
            understood.contains(&format!("<section id=\"{section}\"")),
            "{section}"
        );
    }
    let plain = browser.shot(&page, size);
    // A background colour marks the place of each section.
    let coloured = browser.shot(&styled(&page, &colours()), size);
    let mut end = 0;
    for (index, (section, contents)) in SECTIONS.into_iter().enumerate() {
        let place = place(&coloured, colour(index));
        let [left, top, right, bottom] = place.expect("the section is on the picture");
        assert!(
            top >= end && right - left > 1000 && bottom - top > 60,
            "{section}: {place:?}"
        );
        end = bottom;
        let part = image::imageops::crop_imm(&plain, left, top, right - left, bottom - top);
        let part = part.to_image();
        for content in contents {
            check(section, &part, content);
        }
    }
    assert!(end + 20 < size[1], "the window is high enough: {end}");
}

#[test]
fn nothing_is_wider_than_a_narrow_window() {
    let folder = reported();
    let Some(browser) = Browser::find(folder.path("")) else {
        return;
    };
    let page = fs::read_to_string(folder.path("influences.html")).expect("the page");
    let told = "<script>document.title = document.documentElement.scrollWidth + ' of ' + window.innerWidth</script></body>";
    let page = page.replace("</body>", told);
    let understood = browser.dom(&page, [420, 900]);
    let (_, title) = understood.split_once("<title>").expect("a title");
    let (title, _) = title.split_once("</title>").expect("its end");
    let widths: Vec<u32> = title
        .split(" of ")
        .map(|text| text.parse().expect("a width"))
        .collect();
    assert!(widths[0] <= widths[1] && widths[1] < 640, "{title}");
}

fn styled(page: &str, style: &str) -> String {
    page.replace("</head>", &format!("<style>{style}</style></head>"))
}

/// Almost white, and used nowhere else on the page.
fn colour(section: usize) -> [u8; 3] {
    let step = u8::try_from(section).expect("few sections");
    [250, 255 - step, 244]
}

fn colours() -> String {
    let rule = |(index, (section, _)): (usize, &(&str, _))| {
        let [r, g, b] = colour(index);
        format!("#{section} {{ background: rgb({r}, {g}, {b}) }}")
    };
    SECTIONS.iter().enumerate().map(rule).collect()
}

/// Left, top, right and bottom of the area with a colour.
fn place(image: &RgbImage, colour: [u8; 3]) -> Option<[u32; 4]> {
    let pixels = image.enumerate_pixels();
    let pixels = pixels.filter(|(.., pixel)| pixel.0 == colour);
    pixels.fold(None, |place: Option<[u32; 4]>, (x, y, _)| {
        let [left, top, right, bottom] = place.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)])
    })
}

fn check(section: &str, part: &RgbImage, content: &Content) {
    let count =
        |wanted: &dyn Fn([u8; 3]) -> bool| part.pixels().filter(|pixel| wanted(pixel.0)).count();
    let charted = |colour| [[31, 119, 180], [192, 57, 43]].contains(&colour);
    let (found, expected) = match content {
        Content::Pictures(pixels) => (count(&|colour| colour == [0, 0, 0]), *pixels),
        Content::Bars => (count(&charted), 2000),
        Content::Text => (count(&|colour| colour.iter().all(|&level| level < 80)), 300),
    };
    assert!(
        found > expected,
        "{section}: {found} pixels, expected more than {expected}"
    );
    let paper = count(&|colour| colour == [255, 255, 255]);
    assert!(paper > part.pixels().len() / 5, "{section}: paper {paper}");
}
