//! Reading the container of Blosc 1, in which zarr-python 2, numcodecs and xarray pack chunks.
//!
//! A header of 16 bytes, the start of each block, and the blocks; each is one stream or one for
//! each byte of a number, packed by one of five compressors, of bytes or bits that were sorted by
//! their place within the numbers.

/// The bytes of the header.
const HEADER: usize = 16;
/// Blocks of numbers with more bytes than this are one stream.
const MAX_SPLITS: usize = 16;
/// So are blocks with fewer numbers than this.
const MIN_NUMBERS: usize = 128;
/// From this distance on, `BloscLZ` writes distances in two more bytes.
const FAR: usize = 8191;

/// The contents of the header.
struct Header {
    flags: u8,
    typesize: usize,
    nbytes: usize,
    blocksize: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let header = Self {
            flags: *bytes.get(2)?,
            typesize: usize::from(*bytes.get(3)?).max(1),
            nbytes: number(4)? as usize,
            blocksize: number(8)? as usize,
        };
        (number(12)? as usize == bytes.len()).then_some(header)
    }

    fn has(&self, bit: u8) -> bool {
        self.flags & (1 << bit) != 0
    }

    /// How many streams a block is cut into.
    fn streams(&self, block: usize) -> usize {
        let whole = block == self.blocksize;
        let split = !self.has(4)
            && whole
            && self.typesize <= MAX_SPLITS
            && block / self.typesize >= MIN_NUMBERS;
        if split { self.typesize } else { 1 }
    }
}

/// Unpacks a chunk that has at most `most` bytes.
///
/// # Errors
/// The fault found.
pub(super) fn unpack(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let header = Header::read(bytes).ok_or("a chunk of Blosc is cut short or damaged")?;
    if header.nbytes > most {
        return Err(format!(
            "expected at most {most} bytes in a chunk of Blosc, got {}",
            header.nbytes
        ));
    }
    if header.has(1) {
        let stored = bytes.get(HEADER..HEADER + header.nbytes);
        return Ok(stored.ok_or("a chunk of Blosc is cut short")?.to_vec());
    }
    let mut unpacked = vec![0; header.nbytes];
    if header.nbytes > 0 && header.blocksize == 0 {
        return Err("a chunk of Blosc has blocks of 0 bytes".into());
    }
    for (number, block) in unpacked.chunks_mut(header.blocksize.max(1)).enumerate() {
        fill(&header, bytes, number, block)
            .map_err(|problem| format!("block {number} of a chunk of Blosc: {problem}"))?;
    }
    Ok(unpacked)
}

/// Unpacks one block.
fn fill(header: &Header, bytes: &[u8], number: usize, block: &mut [u8]) -> Result<(), String> {
    let number_at = |at: usize| -> Option<usize> {
        let four = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
    };
    let mut at = number_at(HEADER + 4 * number).ok_or("it is cut short")?;
    let (shuffled, by_bit) = (header.has(0) && header.typesize > 1, header.has(2));
    let mut sorted = vec![0; block.len()];
    let streams = header.streams(block.len());
    let length = block.len() / streams;
    if length * streams != block.len() {
        return Err("its streams are of unequal length".into());
    }
    for stream in sorted.chunks_mut(length.max(1)) {
        let packed = number_at(at).ok_or("it is cut short")?;
        let end = (at + 4).checked_add(packed).ok_or("it is damaged")?;
        let packed = bytes.get(at + 4..end).ok_or("it is cut short")?;
        at = end;
        if packed.len() == stream.len() {
            stream.copy_from_slice(packed);
        } else {
            decompress(header.flags >> 5, packed, stream)?;
        }
    }
    match (shuffled, by_bit) {
        (true, _) => unshuffle(&sorted, header.typesize, block),
        (_, true) => unshuffle_bits(&sorted, header.typesize, block),
        _ => block.copy_from_slice(&sorted),
    }
    Ok(())
}

/// Unpacks one stream by the compressor of this number.
fn decompress(compressor: u8, packed: &[u8], stream: &mut [u8]) -> Result<(), String> {
    let got = match compressor {
        0 => blosclz(packed, stream).ok_or("it is damaged")?,
        1 => lz4_flex::block::decompress_into(packed, stream).map_err(|error| error.to_string())?,
        2 => snap::raw::Decoder::new()
            .decompress(packed, stream)
            .map_err(|error| error.to_string())?,
        3 => inflate(packed, stream).map_err(|error| error.to_string())?,
        4 => zstd::bulk::decompress_to_buffer(packed, stream).map_err(|error| error.to_string())?,
        other => return Err(format!("there is no compressor {other}")),
    };
    if got == stream.len() {
        Ok(())
    } else {
        Err(format!("expected {} bytes, got {got}", stream.len()))
    }
}

fn inflate(packed: &[u8], stream: &mut [u8]) -> std::io::Result<usize> {
    std::io::Read::read_exact(&mut flate2::read::ZlibDecoder::new(packed), stream)?;
    Ok(stream.len())
}

/// Unpacks `BloscLZ`: runs of bytes, and copies of what came before. Gives the number of bytes,
/// none where the stream is damaged.
fn blosclz(packed: &[u8], stream: &mut [u8]) -> Option<usize> {
    let mut packed = packed.iter().copied();
    let mut control = packed.next()? & 31;
    let mut at = 0;
    loop {
        if control < 32 {
            for _ in 0..=control {
                *stream.get_mut(at)? = packed.next()?;
                at += 1;
            }
        } else {
            let (length, distance) = copied(control, &mut packed)?;
            for _ in 0..length {
                *stream.get_mut(at)? = *stream.get(at.checked_sub(distance)?)?;
                at += 1;
            }
        }
        let Some(next) = packed.next() else {
            return Some(at);
        };
        control = next;
    }
}

/// How many bytes a copy has, and how far back they are.
fn copied(control: u8, packed: &mut impl Iterator<Item = u8>) -> Option<(usize, usize)> {
    let mut length = usize::from(control >> 5) + 2;
    if control >> 5 == 7 {
        loop {
            let more = packed.next()?;
            length += usize::from(more);
            if more < 255 {
                break;
            }
        }
    }
    let (high, low) = (usize::from(control & 31) << 8, packed.next()?);
    if low == 255 && high == 31 << 8 {
        let far = usize::from(packed.next()?) << 8;
        return Some((length, far + usize::from(packed.next()?) + FAR + 1));
    }
    Some((length, high + usize::from(low) + 1))
}

/// Puts bytes that were sorted by their place within the numbers back.
fn unshuffle(sorted: &[u8], typesize: usize, block: &mut [u8]) {
    let numbers = sorted.len() / typesize;
    let (whole, rest) = sorted.split_at(numbers * typesize);
    for (index, number) in block.chunks_exact_mut(typesize).enumerate() {
        for (byte, place) in number.iter_mut().enumerate() {
            *place = whole[byte * numbers + index];
        }
    }
    block[numbers * typesize..].copy_from_slice(rest);
}

/// Puts bits that were sorted by their place within the numbers back; only multiples of eight
/// numbers are sorted.
fn unshuffle_bits(sorted: &[u8], typesize: usize, block: &mut [u8]) {
    let numbers = sorted.len() / typesize;
    if !numbers.is_multiple_of(8) {
        block.copy_from_slice(sorted);
        return;
    }
    let (whole, rest) = sorted.split_at(numbers * typesize);
    for (index, number) in block.chunks_exact_mut(typesize).enumerate() {
        for (byte, place) in number.iter_mut().enumerate() {
            let bit = |bit: usize| {
                let row = (byte * 8 + bit) * (numbers / 8);
                (whole[row + index / 8] >> (index % 8) & 1) << bit
            };
            *place = (0..8).map(bit).sum();
        }
    }
    block[numbers * typesize..].copy_from_slice(rest);
}
