use super::*;

const FILES: &str = "{ inputs = \"x.npy\", targets = \"y.npy\" }";

fn read(text: &str) -> Result<Data> {
    let text = text.replace("FILES", FILES);
    let data: Data = toml::from_str(&text)?;
    data.sides()?;
    Ok(data)
}

#[test]
fn one_way_is_taken_and_taken_whole() {
    assert!(read("train = FILES\ntest = FILES").is_ok());
    assert!(read("train = FILES").is_ok());
    assert!(read("all = FILES\nsplit = { test = 0.2, seed = 3 }").is_ok());
    for (text, expected) in [
        ("", "data.train is missing"),
        ("test = FILES", "data.train is missing"),
        ("all = FILES", "data.split is missing"),
        ("split = { test = 0.2 }", "data.all, which is missing"),
        (
            "train = FILES\ntest = FILES\nall = FILES",
            "leave out either it or both of them",
        ),
        (
            "all = FILES\nsplit = { test = 1.0 }",
            "between 0 and 1, got 1",
        ),
    ] {
        let error = format!("{:#}", read(text).expect_err(text));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn scales_are_names_or_numbers() {
    let scale = |text: &str| {
        read(&format!("train = FILES\ntest = FILES\nscale = {text}")).map(|data| data.scale)
    };
    assert_eq!(
        scale("\"standard\"").expect("valid"),
        Some(ScaleSetting::Standard)
    );
    assert_eq!(
        scale("\"min-max\"").expect("valid"),
        Some(ScaleSetting::MinMax)
    );
    let given = Scale::new(vec![0.5, 1.0], vec![255.0]).expect("finite numbers");
    assert_eq!(
        scale("{ subtract = [0.5, 1], divide = 255 }").expect("valid"),
        Some(ScaleSetting::Given(given))
    );
    for text in [
        "\"robust\"",
        "{ times = 2 }",
        "{ divide = [] }",
        "{ divide = \"2\" }",
        "3",
    ] {
        assert!(scale(text).is_err(), "{text}");
    }
}

#[test]
fn classes_are_listed_or_in_a_file() {
    let classes = |text: &str| {
        read(&format!("train = FILES\ntest = FILES\nclasses = {text}")).map(|data| data.classes)
    };
    let listed = ClassNames::Listed(vec!["cat".into(), "dog".into()]);
    assert_eq!(classes("[\"cat\", \"dog\"]").expect("valid"), Some(listed));
    let file = ClassNames::File(ArrayPath::from("c.txt".to_owned()));
    assert_eq!(classes("\"c.txt\"").expect("valid"), Some(file));
    assert!(classes("[1, 2]").is_err());
}
