//! Files of other programs, recognised by their first bytes.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

/// Refuses a file whose format is recognised but not read, and says what to save in its place.
///
/// # Errors
/// When it is such a file, or cannot be read.
pub(crate) fn refuse(path: &Path) -> Result<()> {
    let shown = path.display();
    let mut start = Vec::new();
    let file = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    file.with_context(|| shown.to_string())?;
    let advice = match start.as_slice() {
        [0x89, b'H', b'D', b'F', ..] => {
            "is an HDF5 file; save each array by numpy.save(\"x.npy\", h5py.File(...)[\"x\"][:])"
        }
        [0x80, 2..=5, ..] => {
            "is a pickle of Python, as old files of PyTorch are; save the array by numpy.save(\"x.npy\", x), a tensor by numpy.save(\"x.npy\", x.numpy())"
        }
        [b'P', b'K', ..] if is_torch(path) => {
            "is a file of PyTorch; save the tensor by numpy.save(\"x.npy\", x.numpy())"
        }
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] => {
            "is a single image; name a folder that has a folder of images for each class"
        }
        start if start.starts_with(b"version https://git-lfs") => {
            "is a pointer of Git LFS, not the file itself; fetch it by git lfs pull"
        }
        start if start.starts_with(b"MATLAB 5.0") => {
            "is a file of MATLAB; save each array by numpy.save(\"x.npy\", scipy.io.loadmat(...)[\"x\"])"
        }
        _ => return Ok(()),
    };
    bail!("{shown} {advice}")
}

fn is_torch(path: &Path) -> bool {
    let archive = File::open(path)
        .ok()
        .and_then(|file| ZipArchive::new(file).ok());
    archive.is_some_and(|archive| {
        let mut names = archive.file_names().filter_map(Result::ok);
        names.any(|name| name.ends_with("/data.pkl"))
    })
}
