//! Files that are taken for weights and are none, by how they begin.

/// The kind of a file that begins with these bytes, and advice, if that is known.
pub(super) fn said(start: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start().to_ascii_lowercase();
    if text.starts_with("version https://git-lfs") {
        Some("a pointer of Git LFS in place of the file; fetch the file itself: git lfs pull")
    } else if text.starts_with('{') && text.contains("weight_map") {
        Some(
            "an index of weights that are in several files; save them in one: safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")",
        )
    } else if text.starts_with('{') || text.starts_with('[') {
        Some("JSON; weights are read from safetensors or PyTorch")
    } else if text.starts_with("<!doctype") || text.starts_with("<html") {
        Some("a web page, which servers send in place of a file; download the file itself")
    } else if start.starts_with(b"\x89HDF") {
        Some("HDF5, as Keras writes it; weights are read from safetensors or PyTorch")
    } else if start.starts_with(b"\x93NUMPY") {
        Some("an array of numpy; weights are read from safetensors or PyTorch")
    } else if start.starts_with(b"GGUF") {
        Some("GGUF, whose weights are quantised; weights are read from safetensors or PyTorch")
    } else if start.starts_with(&[0x1f, 0x8b]) {
        Some("packed by gzip; unpack it first")
    } else if start.get(257..262) == Some(b"ustar") {
        Some(
            "an archive of tar; weights from before PyTorch 0.1.10 must be loaded with torch and saved again, others unpacked",
        )
    } else {
        None
    }
}
