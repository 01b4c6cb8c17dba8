//! `influence demo`: the commands of a first session, on digits that ship with the program.
//!
//! The demonstration writes a folder with data and a configuration, and then does nothing but run
//! commands of this program in it, each printed as it is typed. So whatever it shows can be done
//! again by hand, and every other command works on what it leaves behind.

mod digits;
mod folder;

use std::{
    ffi::{OsStr, OsString},
    io::Write,
};

use anyhow::{Context, Result};
use clap::Parser;
use influence_backend_burn::device;
use influence_jobs::models::{ConfiguredModels, Models};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{
    args::{Arguments, Command, DemoArguments},
    session::Session,
};
use digits::SplitDigits;
use folder::Folder;

/// Does what a command says, and prints to a writer.
pub(super) type Execute<W> = fn(&Command, &dyn Models, &Session, &mut W) -> Result<()>;

/// Runs the demonstration and prints what it found.
///
/// # Errors
/// When something else is in the way of its folder, or whatever a command reports.
pub(super) fn run<W: Write>(
    arguments: &DemoArguments,
    session: &Session,
    out: &mut W,
    execute: Execute<W>,
) -> Result<()> {
    // Before anything is written: a device may be missing.
    device::open(&arguments.device).context("--device")?;
    let folder = Folder::claim(&arguments.output)?;
    let split = SplitDigits::new(&mut Xoshiro256PlusPlus::seed_from_u64(arguments.seed))?;
    folder.write(&split, arguments)?;
    session.print(|| {
        writeln!(
            out,
            "{} training digits, {} of them given a wrong label on purpose; {} test digits",
            split.train.len(),
            split.train.flipped_count(),
            split.test.len()
        )
    })?;
    let at = |file: &str| folder.path(file).into_os_string();
    let (config, fit) = (at(folder::CONFIG), at("fit.safetensors"));
    let (influences, own) = (at("influences.zarr"), at("self.zarr"));
    let commands: [&[OsString]; 6] = [
        &["train".into(), config.clone(), "--overwrite".into()],
        &["fit".into(), config.clone(), "--fitted".into(), fit.clone()],
        &[
            "run".into(),
            config.clone(),
            "--fitted".into(),
            fit.clone(),
            "--overwrite".into(),
        ],
        &[
            "self".into(),
            config,
            "--fitted".into(),
            fit,
            "--overwrite".into(),
            "--set".into(),
            "output.path=self.zarr".into(),
        ],
        &[
            "top".into(),
            influences.clone(),
            "--show".into(),
            "4".into(),
            "-k".into(),
            "3".into(),
        ],
        &[
            "mislabelled".into(),
            influences.clone(),
            "--self".into(),
            own.clone(),
            "--truth".into(),
            at(folder::TRUTH),
            "--show".into(),
            "8".into(),
        ],
    ];
    for command in commands {
        let arguments = announced(command, session, out)?;
        session.progress().begin_command();
        execute(&arguments.command, &ConfiguredModels, session, out)?;
    }
    let [influences, own, truth] = [influences, own, at(folder::TRUTH)].map(|path| quoted(&path));
    session.print(|| {
        writeln!(
            out,
            "\nnext, a page with pictures of all this:\n$ influence report {influences} --self {own} --truth {truth}"
        )
    })?;
    Ok(())
}

/// Prints a command as it is typed, and reads it.
fn announced(command: &[OsString], session: &Session, out: &mut impl Write) -> Result<Arguments> {
    let shown: Vec<String> = command.iter().map(|argument| quoted(argument)).collect();
    session.print(|| writeln!(out, "\n$ influence {}", shown.join(" ")))?;
    let line = [OsString::from("influence")]
        .into_iter()
        .chain(command.iter().cloned());
    Ok(Arguments::try_parse_from(line)?)
}

/// An argument as a shell takes it.
fn quoted(argument: &OsStr) -> String {
    let text = argument.to_string_lossy().into_owned();
    let plain = |letter: char| letter.is_alphanumeric() || "-_./=,:".contains(letter);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
