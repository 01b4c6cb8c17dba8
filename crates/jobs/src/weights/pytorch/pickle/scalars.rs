//! Numbers and texts in a pickle.

use std::io::{BufRead, Read};

use anyhow::{Context, Result, ensure};

use super::super::object::PickleNode;

pub(super) fn bytes<const N: usize>(input: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    input
        .read_exact(&mut bytes)
        .context("the pickle is cut short")?;
    Ok(bytes)
}

pub(super) fn line(input: &mut impl BufRead) -> Result<String> {
    let mut line = Vec::new();
    input.take(1 << 16).read_until(b'\n', &mut line)?;
    ensure!(line.pop() == Some(b'\n'), "the pickle is cut short");
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The length that texts and bytes begin with.
pub(super) fn length(code: u8, input: &mut impl Read) -> Result<u64> {
    Ok(match code {
        b'U' | b'C' | 0x8c => u64::from(bytes::<1>(input)?[0]),
        0x8d | 0x8e | 0x96 => u64::from_le_bytes(bytes(input)?),
        _ => u64::from(u32::from_le_bytes(bytes(input)?)),
    })
}

pub(super) fn text(code: u8, input: &mut impl BufRead) -> Result<String> {
    match code {
        b'V' => return line(input),
        b'S' => return Ok(line(input)?.trim_matches(['\'', '"']).to_owned()),
        _ => {}
    }
    let length = length(code, input)?;
    let mut text = Vec::new();
    input.take(length).read_to_end(&mut text)?;
    ensure!(text.len() as u64 == length, "the pickle is cut short");
    Ok(String::from_utf8_lossy(&text).into_owned())
}

pub(super) fn number(code: u8, input: &mut impl BufRead) -> Result<PickleNode> {
    let length = match code {
        b'I' | b'L' => {
            let line = line(input)?;
            let digits = line.trim().trim_end_matches('L');
            return Ok(match digits {
                "00" => PickleNode::Bool(false),
                "01" => PickleNode::Bool(true),
                digits => digits.parse().map_or(PickleNode::Other, PickleNode::Int),
            });
        }
        b'J' => return Ok(PickleNode::Int(i32::from_le_bytes(bytes(input)?).into())),
        b'K' => return Ok(PickleNode::Int(bytes::<1>(input)?[0].into())),
        b'M' => return Ok(PickleNode::Int(u16::from_le_bytes(bytes(input)?).into())),
        0x8a => u64::from(bytes::<1>(input)?[0]),
        _ => u64::from(u32::from_le_bytes(bytes(input)?)),
    };
    let mut digits = Vec::new();
    input.take(length).read_to_end(&mut digits)?;
    ensure!(digits.len() as u64 == length, "the pickle is cut short");
    // Whole numbers of more than 64 bits are no sizes.
    Ok(if digits.len() > 8 {
        PickleNode::Other
    } else {
        let sign = if digits.last().is_some_and(|&last| last > 127) {
            0xff
        } else {
            0
        };
        digits.resize(8, sign);
        digits.try_into().map_or(PickleNode::Other, |digits| {
            PickleNode::Int(i64::from_le_bytes(digits))
        })
    })
}
