//! `influence completions` and `influence man`: what shells and readers of manuals need, from the
//! definition of the command line.

use std::{fs, io::Write};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::args::{Arguments, CompletionsArguments, ManArguments, examples, help};

const PROGRAM: &str = "influence";

/// Prints the completions of a shell.
///
/// # Errors
/// When the writer fails.
pub(super) fn completions(arguments: &CompletionsArguments, out: &mut impl Write) -> Result<()> {
    // The generator panics where it cannot write, as to a closed pipe; it can into memory.
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        PROGRAM,
        &mut script,
    );
    Ok(out.write_all(&script)?)
}

/// Writes a manual page of the program and one of each command into a folder.
///
/// # Errors
/// When the folder or a page cannot be written.
pub(super) fn pages(arguments: &ManArguments, out: &mut impl Write) -> Result<()> {
    let folder = &arguments.folder;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    let commands = std::iter::once(&program).chain(program.get_subcommands());
    let mut count = 0;
    for command in commands {
        let manual =
            Man::new(command.clone()).source(format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION")));
        let path = folder.join(manual.get_filename());
        let page = page(command, &manual)?;
        fs::write(&path, page).with_context(|| path.display().to_string())?;
        count += 1;
    }
    Ok(writeln!(
        out,
        "wrote {count} pages to {}",
        folder.display()
    )?)
}

fn page(command: &Command, manual: &Man) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    manual.render_title(&mut page)?;
    manual.render_name_section(&mut page)?;
    manual.render_synopsis_section(&mut page)?;
    manual.render_description_section(&mut page)?;
    manual.render_options_section(&mut page)?;
    if command.has_subcommands() {
        manual.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::default();
    let examples = examples(command.get_name());
    if !examples.is_empty() {
        rest.control("SH", ["EXAMPLES"]);
    }
    for (what, line) in examples {
        rest.control("PP", []);
        rest.text([roman(*what)]);
        rest.control("RS", ["4"]);
        rest.text([bold(*line)]);
        rest.control("RE", []);
    }
    if command.has_subcommands() {
        rest.control("SH", ["PROGRESS AND LOGS"]);
        for paragraph in help::TELLING {
            rest.control("PP", []);
            rest.text([roman(paragraph)]);
        }
    }
    rest.control("SH", ["EXIT STATUS"]);
    rest.text([roman(help::EXIT_CODES)]);
    rest.to_writer(&mut page)?;
    Ok(page)
}
