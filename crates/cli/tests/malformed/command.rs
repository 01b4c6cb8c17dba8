//! Command lines that are wrong, and files of commands other than `run`.

use crate::{
    folder::Folder,
    table::{case, check, nothing, of_command, of_usage, set},
};

#[test]
fn options_are_named() {
    const RUN: [&str; 2] = ["run", "config.toml"];
    let run = |arguments: &[&'static str]| [&RUN, arguments].concat();
    check(&[
        of_usage(
            "memory in words",
            &run(&["--memory", "much"]),
            &["--memory", "much", "512MiB, 2GB"],
        ),
        of_usage(
            "too little memory",
            &run(&["--memory", "1MiB"]),
            &["--memory", "at least 64MiB"],
        ),
        of_usage("no threads", &run(&["--threads", "0"]), &["--threads"]),
        of_usage(
            "an unknown style",
            &run(&["--progress", "loud"]),
            &["--progress", "loud", "lines"],
        ),
        of_usage(
            "an unknown format of logs",
            &run(&["--log-format", "xml"]),
            &["--log-format", "xml", "json"],
        ),
        of_usage(
            "two fates of an output",
            &run(&["--resume", "--overwrite"]),
            &["--resume", "--overwrite"],
        ),
        of_usage(
            "quiet and verbose",
            &run(&["--quiet", "--verbose"]),
            &["--quiet", "--verbose"],
        ),
        of_usage("a misspelt option", &run(&["--overwrit"]), &["--overwrite"]),
        of_usage(
            "a misspelt command",
            &["reprot", "config.toml"],
            &["reprot", "report"],
        ),
        of_usage("no configuration", &["run"], &["CONFIG.toml"]),
        of_usage(
            "a negative damping",
            &["sweep", "config.toml", "--damping=-1"],
            &["--damping", "not negative"],
        ),
        of_usage(
            "a damping in words",
            &["sweep", "config.toml", "--damping", "0.1,x"],
            &["--damping", "number"],
        ),
        of_usage(
            "an unknown shell",
            &["completions", "dos"],
            &["dos", "bash"],
        ),
        of_usage(
            "an unknown format",
            &["top", "i.zarr", "--format", "xml"],
            &["xml", "json"],
        ),
        of_usage(
            "a count that is not a number",
            &["top", "i.zarr", "--show", "one"],
            &["--show", "one"],
        ),
        of_usage(
            "a size that is none",
            &["report", "i.zarr", "--image", "8by8"],
            &["--image", "8by8"],
        ),
    ]);
}

#[test]
fn overrides_are_named() {
    check(&[
        set(
            "an override without a value",
            "seed",
            &["--set seed", "KEY=VALUE"],
        ),
        set(
            "an override without a key",
            "=1",
            &["--set =1", "empty part"],
        ),
        set(
            "an override of an empty key",
            "method..damping=1",
            &["--set method..damping=1", "empty part"],
        ),
        set(
            "an override through a value",
            "data.train.inputs.deep=1",
            &["`inputs` holds a value"],
        ),
        case(
            "an override of a misspelt key",
            nothing,
            &["--set", "method.dampening=1"],
            &["--set method.dampening=1: ", "did you mean `damping`?"],
        ),
    ]);
}

#[test]
fn files_of_other_commands_are_named() {
    check(&[
        of_command(
            "no output to show",
            nothing,
            &["top", "influences.zarr"],
            &["influences.zarr"],
        ),
        of_command(
            "no output to inspect",
            nothing,
            &["inspect", "influences.zarr"],
            &["influences.zarr"],
        ),
        of_command(
            "no output to verify",
            nothing,
            &["verify", "influences.zarr"],
            &["influences.zarr"],
        ),
        of_command(
            "no output to rank",
            nothing,
            &["mislabelled", "influences.zarr"],
            &["influences.zarr"],
        ),
        of_command(
            "no output to report",
            nothing,
            &["report", "influences.zarr"],
            &["influences.zarr"],
        ),
        of_command(
            "a file for an output",
            nothing,
            &["inspect", "x_train.npy"],
            &["x_train.npy"],
        ),
        of_command(
            "another array for an output",
            Folder::zarr,
            &["inspect", "data.zarr"],
            &["data.zarr"],
        ),
        of_command(
            "a configuration in the way",
            nothing,
            &[
                "init",
                "config.toml",
                "--weights",
                "model.safetensors",
                "--train",
                "x_train.npy",
                "y_train.npy",
                "--test",
                "x_test.npy",
                "y_test.npy",
            ],
            &["config.toml", "--overwrite"],
        ),
        of_command(
            "weights that are none",
            nothing,
            &[
                "init",
                "--weights",
                "x_train.npy",
                "--train",
                "x_train.npy",
                "y_train.npy",
                "--test",
                "x_test.npy",
                "y_test.npy",
            ],
            &["--weights", "x_train.npy"],
        ),
        of_command(
            "data that are none",
            |folder| folder.write("x_test.npy", "text"),
            &[
                "init",
                "--weights",
                "model.safetensors",
                "--train",
                "x_train.npy",
                "y_train.npy",
                "--test",
                "x_test.npy",
                "y_test.npy",
            ],
            &["--test", "x_test.npy"],
        ),
        of_command(
            "manual pages into a file",
            nothing,
            &["man", "x_train.npy"],
            &["x_train.npy"],
        ),
    ]);
}

#[test]
fn fits_are_named() {
    check(&[
        case(
            "no fit to take up",
            nothing,
            &["--fitted", "fit.safetensors"],
            &["--fitted", "fit.safetensors"],
        ),
        case(
            "a fit that is text",
            |folder| folder.write("fit.safetensors", "some text"),
            &["--fitted", "fit.safetensors"],
            &["--fitted", "fit.safetensors"],
        ),
        case(
            "weights for a fit",
            nothing,
            &["--fitted", "model.safetensors"],
            &["--fitted", "model.safetensors"],
        ),
        of_command(
            "a fit in no folder",
            nothing,
            &["fit", "config.toml", "--fitted", "no/such.safetensors"],
            &["--fitted", "no does not exist"],
        ),
        of_command(
            "a fit of what fits nothing",
            |folder| folder.config("damping = 0.1", "name = \"identity\""),
            &["fit", "config.toml", "--fitted", "fit.safetensors"],
            &["method.name", "identity"],
        ),
    ]);
}
