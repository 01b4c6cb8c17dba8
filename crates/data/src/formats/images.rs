use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, bail, ensure};
use image::{ColorType, DynamicImage, ImageFormat, ImageReader, Rgb};

use super::{image_folder::ImageFolder, npy::NpyField, spool::Spool};
use crate::labels::NamedLabels;

/// The part that names the classes of images rather than their pixels.
const CLASS: &str = "class";

/// Opens a folder with a folder of images for each class: `(n, channels, height, width)` of 0 to
/// 255, of one channel where all are grey, else of three. Classes and files come in the order of
/// their names.
///
/// # Errors
/// When there are no images, one of them cannot be read, or they differ in size.
pub(crate) fn open(folder: &Path, part: Option<&str>) -> Result<NpyField> {
    let shown = folder.display().to_string();
    match part {
        None => pixels(&listed(folder)?, shown),
        Some(CLASS) => {
            bail!("{shown}#{CLASS}: the names of classes are targets, and can be nothing else")
        }
        Some(other) => bail!("{shown}: a folder of images has `#{CLASS}` and no `#{other}`"),
    }
}

/// The class of each image, if the part asks for classes.
///
/// # Errors
/// When the folder has no classes with images.
pub(crate) fn labels(folder: &Path, part: Option<&str>) -> Result<Option<NamedLabels>> {
    if part != Some(CLASS) {
        return Ok(None);
    }
    let listed = listed(folder)?;
    let labels = listed
        .classes
        .iter()
        .flat_map(|(class, images)| images.iter().map(|_| class.clone()));
    let file = format!("{}#{CLASS}", folder.display());
    Ok(Some(NamedLabels::new(file, labels)))
}

/// The names of images: their files, with the folder of their class.
pub(crate) fn names(folder: &Path) -> Option<Vec<String>> {
    let listed = ImageFolder::open(folder).ok()?;
    let within = listed.images().map(|file| file.strip_prefix(folder).ok());
    within
        .map(|name| Some(name?.to_string_lossy().into_owned()))
        .collect()
}

/// How many images and classes a folder has, and a note on what was left out.
pub(crate) fn survey(folder: &Path) -> Option<(String, Option<String>)> {
    let listed = ImageFolder::open(folder).ok()?;
    let (images, classes) = (listed.len(), listed.classes.len());
    let plural = |count: usize, one: &str, more: &str| {
        format!("{count} {}", if count == 1 { one } else { more })
    };
    let counts = format!(
        "{} of {}",
        plural(images, "image", "images"),
        plural(classes, "class", "classes")
    );
    Some((counts, listed.left_out()))
}

fn listed(folder: &Path) -> Result<ImageFolder> {
    ImageFolder::open(folder).with_context(|| folder.display().to_string())
}

fn pixels(folder: &ImageFolder, name: String) -> Result<NpyField> {
    let mut coloured = false;
    for file in folder.images() {
        coloured = coloured || is_coloured(file)?;
    }
    let channels = if coloured { 3 } else { 1 };
    let mut spool = Spool::new()?;
    let mut size = None;
    for file in folder.images() {
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
    let shape = [folder.len(), channels, height as usize, width as usize];
    spool.finish("|u1", &shape, name)
}

fn is_coloured(file: &Path) -> Result<bool> {
    let reader = reader(file)?;
    if matches!(reader.format(), Some(ImageFormat::Bmp | ImageFormat::Gif)) {
        // These have palettes, of greys too.
        let image = read(file)?.into_rgb8();
        return Ok(image.pixels().any(|Rgb([r, g, b])| r != g || g != b));
    }
    let decoder = reader.into_decoder();
    let decoder = decoder.with_context(|| format!("{} is no image", file.display()))?;
    let colour = image::ImageDecoder::color_type(&decoder);
    Ok(!matches!(
        colour,
        ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16
    ))
}

fn read(file: &Path) -> Result<DynamicImage> {
    let image = reader(file)?.decode();
    let image =
        image.with_context(|| format!("{} is no image, or a damaged one", file.display()))?;
    ensure!(
        !matches!(
            image,
            DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)
        ),
        "{} has floating-point numbers for pixels; save it with 8 or 16 bits, or all images as an array .npy",
        file.display()
    );
    Ok(image)
}

fn reader(file: &Path) -> Result<ImageReader<std::io::BufReader<fs::File>>> {
    let reader = ImageReader::open(file).and_then(ImageReader::with_guessed_format);
    reader.with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, RgbImage};
    use influence_core::{FieldSource, Values};

    use super::*;
    use crate::labels::ClassOrder;

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
        let classes = labels(folder.path(), Some("class")).expect("classes");
        let classes = classes.expect("classes").numbered(ClassOrder::Own);
        let (names, numbers) = classes.expect("numbers");
        assert_eq!(*names, ["cats", "dogs"]);
        let numbers = numbers.rows(0..3).expect("three");
        assert_eq!(
            numbers,
            Values::new(vec![0_i64, 0, 1], &[3]).expect("three")
        );
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
    fn what_is_left_out_is_said() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(
            survey(folder.path()),
            Some(("3 images of 2 classes".into(), None))
        );
        fs::create_dir_all(at("cats/young/.hidden")).expect("made");
        fs::create_dir(at(".ipynb_checkpoints")).expect("made");
        fs::create_dir(at("__MACOSX")).expect("made");
        let image = fs::read(at("cats/a.png")).expect("read");
        for name in [
            ".ipynb_checkpoints/a.png",
            "cats/young/z.PNG",
            "cats/young/.hidden/h.png",
            "cats/._a.png",
        ] {
            fs::write(at(name), &image).expect("written");
        }
        for litter in [
            "Thumbs.db",
            "cats/.DS_Store",
            "dogs/notes.txt",
            "a.png",
            "cats/d.heic",
        ] {
            fs::write(at(litter), "").expect("written");
        }
        let (counts, left_out) = survey(folder.path()).expect("images");
        assert_eq!(counts, "4 images of 2 classes");
        let expected = "6 files or folders that are not images, or are hidden, were left out: \
            .ipynb_checkpoints/, __MACOSX/, a.png, cats/young/.hidden/, cats/d.heic, and 1 more";
        assert_eq!(left_out.as_deref(), Some(expected));
        let names = names(folder.path()).expect("names");
        assert_eq!(
            names,
            ["cats/a.png", "cats/b.png", "cats/young/z.PNG", "dogs/c.png"]
        );
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
            "dogs has no images; files of images end in .png",
        );
        check(&|_| (), Some("colour"), "`#class` and no `#colour`");
        check(
            &|folder| {
                for (class, side) in [("cats", "train"), ("dogs", "Test")] {
                    fs::rename(folder.join(class), folder.join(side)).expect("renamed");
                }
            },
            None,
            "named like the sides of a data set",
        );
    }
}
