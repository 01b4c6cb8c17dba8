//! The demonstration, and further commands on the folder that it writes.

use std::{fs, process::Command};

fn influence(folder: &std::path::Path, arguments: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
    let command = command.current_dir(folder).args(arguments.split(' '));
    let output = command.output().expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn every_command_works_on_what_the_demonstration_leaves_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let done = |arguments: &str| {
        let (done, said) = influence(folder.path(), arguments);
        assert!(done, "{arguments}: {said}");
        said
    };
    let said = done("demo");
    assert!(
        said.contains("143 of 1438 training points are mislabelled"),
        "{said}"
    );
    let next = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("$ influence "))
        .expect("the next command");
    assert!(
        next.starts_with("report influence-demo/influences.zarr"),
        "{next}"
    );
    done(next);
    let page = fs::read_to_string(folder.path().join("influence-demo/influences.html"));
    let page = page.expect("the page");
    assert!(
        page.contains("data:image/png;base64,"),
        "the digits are drawn"
    );
    let said = done("verify influence-demo/influences.zarr --sample 1");
    assert!(said.contains("0 numbers differ"), "{said}");
    assert!(done("top influence-demo/influences.zarr --points 3").contains("nats"));
    // A second run, with another seed, replaces the first.
    let again = done("demo --seed 1");
    assert!(again.contains("143 of 1438 training points are mislabelled"));
    assert_ne!(again, said);
    let config = folder.path().join("influence-demo/influence.toml");
    let text = fs::read_to_string(&config).expect("the configuration");
    fs::write(&config, text + "# mine\n").expect("written");
    let (done, said) = influence(folder.path(), "demo");
    assert!(!done && said.contains("was changed"), "{said}");
}
