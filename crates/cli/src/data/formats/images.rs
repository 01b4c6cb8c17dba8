use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use image::{ColorType, DynamicImage, ImageReader};
use influence_backend_burn::NpyField;

use super::spool::Spool;
use crate::data::labels::NamedLabels;

/// What a file that is taken for an image ends in.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];
/// What is asked for to get the classes of images in place of their pixels.
const CLASS: &str = "class";

/// Opens a folder with a folder of PNG or JPEG images for each class.
///
/// The images are `(n, channels, height, width)` of 0 to 255, of one channel where all are grey, else of three; or the number of the class of
/// each, with classes and files in the order of their names.
///
/// # Errors
/// When there are no images, one of them cannot be read, or they differ in size.
pub(in crate::data) fn open(folder: &Path, part: Option<&str>) -> Result<NpyField> {
    let shown = folder.display().to_string();
    let classes = classes(folder).with_context(|| shown.clone())?;
    match part {
        Some(CLASS) => numbers(&classes, format!("{shown}#{CLASS}")),
        None => pixels(&classes, shown),
        Some(other) => bail!("{shown}: a folder of images has `#{CLASS}` and no `#{other}`"),
    }
}

/// Whether a folder has a folder with an image, be the others as they may.
pub(in crate::data) fn is_images(folder: &Path) -> bool {
    let has_image =
        |below: &PathBuf| sorted(below).is_ok_and(|files| files.iter().any(|file| is_image(file)));
    sorted(folder).is_ok_and(|below| below.iter().any(has_image))
}

/// The class of each image by name, where those are asked for.
pub(in crate::data) fn labels(folder: &Path, part: Option<&str>) -> Result<Option<NamedLabels>> {
    if part != Some(CLASS) {
        return Ok(None);
    }
    let shown = folder.display().to_string();
    let images = classes(folder).with_context(|| shown.clone())?;
    let names = images.iter().flatten().map(|image| {
        let class = image.parent().and_then(Path::file_name);
        class.unwrap_or_default().to_string_lossy().into_owned()
    });
    let file = format!("{shown}#{CLASS}");
    Ok(Some(NamedLabels::new(file, names)))
}

/// What images are called: their files, with the folder of their class.
pub(in crate::data) fn names(folder: &Path) -> Option<Vec<String>> {
    let classes = classes(folder).ok()?;
    let files = classes.iter().flatten();
    let within = files.map(|file| file.strip_prefix(folder).ok());
    within
        .map(|name| Some(name?.to_string_lossy().into_owned()))
        .collect()
}

/// The images of each class.
fn classes(folder: &Path) -> Result<Vec<Vec<PathBuf>>> {
    let mut classes = Vec::new();
    for below in sorted(folder)? {
        if below.is_dir() {
            let images: Vec<PathBuf> = sorted(&below)?
                .into_iter()
                .filter(|file| is_image(file))
                .collect();
            ensure!(
                !images.is_empty(),
                "the class {} has no images .png or .jpg",
                below.display()
            );
            classes.push(images);
        }
    }
    ensure!(
        !classes.is_empty(),
        "there are no folders of images, one for each class"
    );
    Ok(classes)
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths: Vec<PathBuf> = entries.collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

fn is_image(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

fn numbers(classes: &[Vec<PathBuf>], name: String) -> Result<NpyField> {
    let mut spool = Spool::new()?;
    let mut count = 0;
    for (class, images) in classes.iter().enumerate() {
        for _ in images {
            spool.write_all(&i64::try_from(class)?.to_le_bytes())?;
            count += 1;
        }
    }
    spool.finish("<i8", &[count], name)
}

fn pixels(classes: &[Vec<PathBuf>], name: String) -> Result<NpyField> {
    let files: Vec<&PathBuf> = classes.iter().flatten().collect();
    let colours = files
        .iter()
        .map(|file| is_coloured(file))
        .collect::<Result<Vec<_>>>()?;
    let channels = if colours.contains(&true) { 3 } else { 1 };
    let mut spool = Spool::new()?;
    let mut size = None;
    for file in &files {
        let image = read(file)?;
        let got = (image.height(), image.width());
        let expected = *size.get_or_insert(got);
        ensure!(
            got == expected,
            "{}: expected an image of {} x {} pixels as the first one, got {} x {}",
            file.display(),
            expected.0,
            expected.1,
            got.0,
            got.1
        );
        if channels == 1 {
            spool.write_all(&image.into_luma8())?;
        } else {
            let colours = image.into_rgb8();
            for channel in 0..channels {
                let plane: Vec<u8> = colours.pixels().map(|pixel| pixel.0[channel]).collect();
                spool.write_all(&plane)?;
            }
        }
    }
    let (height, width) = size.unwrap_or((0, 0));
    let shape = [files.len(), channels, height as usize, width as usize];
    spool.finish("|u1", &shape, name)
}

fn is_coloured(file: &Path) -> Result<bool> {
    let decoder = reader(file)?.into_decoder();
    let decoder = decoder.with_context(|| format!("{} is no image", file.display()))?;
    let colour = image::ImageDecoder::color_type(&decoder);
    Ok(!matches!(
        colour,
        ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16
    ))
}

fn read(file: &Path) -> Result<DynamicImage> {
    let image = reader(file)?.decode();
    image.with_context(|| format!("{} is no image, or a damaged one", file.display()))
}

fn reader(file: &Path) -> Result<ImageReader<std::io::BufReader<fs::File>>> {
    let reader = ImageReader::open(file).and_then(ImageReader::with_guessed_format);
    reader.with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};
    use influence_core::{FieldSource, Values};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for class in ["cats", "dogs"] {
            fs::create_dir(folder.path().join(class)).expect("made");
        }
        let image = |level: u8| {
            GrayImage::from_fn(2, 1, |x, _| {
                Luma([level + u8::try_from(x).expect("0 or 1")])
            })
        };
        for (file, level) in [("cats/b.png", 20), ("cats/a.png", 10), ("dogs/c.png", 30)] {
            image(level).save(folder.path().join(file)).expect("saved");
        }
        folder
    }

    fn all(field: &NpyField) -> (Vec<usize>, Vec<i64>) {
        let Values::I64(values) = field.rows(0..field.shape()[0]).expect("read") else {
            panic!("integers");
        };
        (field.shape().to_vec(), values.into_iter().collect())
    }

    #[test]
    fn images_and_classes_come_in_the_order_of_their_names() {
        let folder = folder();
        let pixels = open(folder.path(), None).expect("images");
        assert_eq!(
            all(&pixels),
            (vec![3, 1, 1, 2], vec![10, 11, 20, 21, 30, 31])
        );
        let classes = open(folder.path(), Some("class")).expect("classes");
        assert_eq!(all(&classes), (vec![3], vec![0, 0, 1]));
        // One image in colour makes them all have three channels.
        let colour = RgbImage::from_pixel(2, 1, Rgb([1, 2, 3]));
        colour
            .save(folder.path().join("dogs/d.png"))
            .expect("saved");
        let (shape, values) = all(&open(folder.path(), None).expect("images"));
        assert_eq!(shape, [4, 3, 1, 2]);
        assert_eq!(values[..6], [10, 11, 10, 11, 10, 11]);
        assert_eq!(values[18..], [1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let check = |spoil: &dyn Fn(&Path), part: Option<&str>, expected: &str| {
            let folder = folder();
            spoil(folder.path());
            let error = open(folder.path(), part).expect_err(expected);
            let message = format!("{error:#}");
            assert!(message.contains(expected), "{message}");
        };
        check(
            &|folder| {
                GrayImage::new(3, 3)
                    .save(folder.join("dogs/c.png"))
                    .expect("saved");
            },
            None,
            "c.png: expected an image of 1 x 2",
        );
        check(
            &|folder| fs::write(folder.join("dogs/c.png"), b"text").expect("written"),
            None,
            "c.png is no image",
        );
        check(
            &|folder| fs::remove_file(folder.join("dogs/c.png")).expect("removed"),
            None,
            "dogs has no images",
        );
        check(&|_| (), Some("colour"), "`#class` and no `#colour`");
    }
}
