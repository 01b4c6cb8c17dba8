//! Which files in a folder are images, and of which class.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

/// The endings of files that are taken for images.
const ENDINGS: [&str; 15] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "tif", "tiff", "gif", "ppm", "pgm",
    "pbm", "pnm",
];
/// Folders that programs make beside those of a data set; so are all whose name begins with a dot.
const NO_CLASSES: [&str; 3] = ["__MACOSX", "@eaDir", "lost+found"];
/// Files that file managers and version control make; nobody takes them for images.
const LITTER: [&str; 5] = [
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    ".gitkeep",
    ".gitignore",
];
/// Names of folders that are sides of a data set, not classes.
const SIDES: [&str; 8] = [
    "train",
    "training",
    "test",
    "testing",
    "val",
    "valid",
    "validation",
    "dev",
];
/// No message lists more files that were left out.
const SHOWN: usize = 5;

/// The images below a folder, by class.
#[derive(Debug, Default)]
pub(super) struct ImageFolder {
    /// The name of each class and its images: those of a folder before those of the folders in it,
    /// each in the order of their names.
    pub(super) classes: Vec<(String, Vec<PathBuf>)>,
    left_out: LeftOut,
}

/// The files in a folder of images that are not read.
#[derive(Debug, Default)]
struct LeftOut {
    count: usize,
    first: Vec<String>,
}

impl LeftOut {
    fn push(&mut self, root: &Path, path: &Path) {
        self.count += 1;
        if self.first.len() < SHOWN {
            let within = path.strip_prefix(root).unwrap_or(path);
            let slash = if path.is_dir() { "/" } else { "" };
            self.first.push(format!("{}{slash}", within.display()));
        }
    }
}

impl ImageFolder {
    /// Lists a folder that has a folder for each class.
    ///
    /// # Errors
    /// When there is no class, they are sides of a data set, one of them has no images or a name
    /// that is no text, or a folder cannot be read.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let mut listed = Self::default();
        for below in sorted(folder)? {
            if !below.is_dir() {
                listed.leave_out_file(folder, &below);
            } else if is_no_class(&below) {
                listed.left_out.push(folder, &below);
            } else {
                listed.class(folder, &below)?;
            }
        }
        let Some((first, _)) = listed.classes.first() else {
            bail!("there are no folders of images, one for each class");
        };
        let is_side = |name: &str| SIDES.contains(&name.to_ascii_lowercase().as_str());
        ensure!(
            !listed.classes.iter().all(|(name, _)| is_side(name)),
            "the folders in it are named like the sides of a data set, not like classes; name one of them, such as {}/",
            folder.join(first).display()
        );
        Ok(listed)
    }

    /// How many images there are.
    pub(super) fn len(&self) -> usize {
        self.classes.iter().map(|(_, images)| images.len()).sum()
    }

    /// All images, class by class.
    pub(super) fn images(&self) -> impl Iterator<Item = &PathBuf> {
        self.classes.iter().flat_map(|(_, images)| images)
    }

    /// The files in the folder that are not read, in words.
    pub(super) fn left_out(&self) -> Option<String> {
        let LeftOut { count, first } = &self.left_out;
        let names = first.join(", ");
        match (*count, count.saturating_sub(first.len())) {
            (0, _) => None,
            (1, _) => Some(format!(
                "1 file or folder that is not an image, or is hidden, was left out: {names}"
            )),
            (count, 0) => Some(format!(
                "{count} files or folders that are not images, or are hidden, were left out: {names}"
            )),
            (count, more) => Some(format!(
                "{count} files or folders that are not images, or are hidden, were left out: {names}, and {more} more"
            )),
        }
    }

    fn class(&mut self, root: &Path, folder: &Path) -> Result<()> {
        let name = folder.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| {
            format!(
                "the name of the class {} is not UTF-8; rename the folder",
                folder.display()
            )
        })?;
        let mut folders = Vec::new();
        self.folders(root, folder, &mut Vec::new(), &mut folders)?;
        // As torchvision's ImageFolder orders them.
        folders.sort_by_cached_key(|folder| folder.to_string_lossy().into_owned());
        let mut images = Vec::new();
        for folder in folders {
            for file in sorted(&folder)?.into_iter().filter(|file| !file.is_dir()) {
                if is_image(&file) {
                    images.push(file);
                } else {
                    self.leave_out_file(root, &file);
                }
            }
        }
        ensure!(
            !images.is_empty(),
            "the class {} has no images; files of images end in {}",
            folder.display(),
            ENDINGS.map(|ending| format!(".{ending}")).join(", ")
        );
        self.classes.push((name.to_owned(), images));
        Ok(())
    }

    /// A folder and those below it; a link to one of those above is not followed.
    fn folders(
        &mut self,
        root: &Path,
        folder: &Path,
        above: &mut Vec<PathBuf>,
        found: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let place = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
        if above.contains(&place) {
            self.left_out.push(root, folder);
            return Ok(());
        }
        found.push(folder.to_owned());
        above.push(place);
        for below in sorted(folder)?.into_iter().filter(|below| below.is_dir()) {
            if is_no_class(&below) {
                self.left_out.push(root, &below);
            } else {
                self.folders(root, &below, above, found)?;
            }
        }
        above.pop();
        Ok(())
    }

    fn leave_out_file(&mut self, root: &Path, file: &Path) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if !LITTER.contains(&name.as_ref()) && !name.starts_with("._") {
            self.left_out.push(root, file);
        }
    }
}

/// Whether there is a folder with an image below, whatever the others hold.
pub(crate) fn is_images(folder: &Path) -> bool {
    fn has_image(folder: &Path, depth: usize) -> bool {
        sorted(folder).is_ok_and(|below| {
            below.iter().any(|path| {
                if path.is_dir() {
                    depth > 0 && !is_no_class(path) && has_image(path, depth - 1)
                } else {
                    is_image(path)
                }
            })
        })
    }
    // Links may lead back: no folder of images is deeper than this.
    const DEPTH: usize = 8;
    sorted(folder).is_ok_and(|below| {
        let mut classes = below
            .iter()
            .filter(|path| path.is_dir() && !is_no_class(path));
        classes.any(|class| has_image(class, DEPTH))
    })
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || folder.display().to_string();
    let entries = fs::read_dir(folder).with_context(failed)?;
    let entries = entries.map(|entry| Ok(entry.with_context(failed)?.path()));
    let mut paths: Vec<PathBuf> = entries.collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

fn is_no_class(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || NO_CLASSES.contains(&name.as_ref())
}

fn is_image(file: &Path) -> bool {
    let hidden = file
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let ending = file.extension().and_then(|ending| ending.to_str());
    !hidden && ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}
