use crate::{Error, Location, ZarrOptions};

/// What parsing gives: a folder, a URL as shown, or the feature that is off.
enum Parsed {
    Folder,
    Url,
    Needs(&'static str),
}

fn on(feature: &'static str, enabled: bool) -> Parsed {
    if enabled {
        Parsed::Url
    } else {
        Parsed::Needs(feature)
    }
}

#[test]
fn the_scheme_picks_the_store_and_what_has_none_is_a_folder() -> crate::Result<()> {
    let cases = [
        ("influences.zarr", Parsed::Folder),
        ("/runs/first", Parsed::Folder),
        ("C:\\runs\\first", Parsed::Folder),
        ("C:/runs/first", Parsed::Folder),
        ("c://runs", Parsed::Folder),
        ("./s3://bucket", Parsed::Folder),
        (
            "file:///runs/first",
            on("object-store", cfg!(feature = "object-store")),
        ),
        (
            "memory:///runs",
            on("object-store", cfg!(feature = "object-store")),
        ),
        (
            "memory://",
            on("object-store", cfg!(feature = "object-store")),
        ),
        ("s3://bucket/runs/first", on("s3", cfg!(feature = "s3"))),
        ("s3a://bucket/runs", on("s3", cfg!(feature = "s3"))),
        ("http://host:8000/runs", on("http", cfg!(feature = "http"))),
        ("https://host/runs", on("http", cfg!(feature = "http"))),
    ];
    for (text, expected) in cases {
        let parsed = Location::parse(text);
        assert_eq!(
            Location::is_url(text),
            !matches!(expected, Parsed::Folder),
            "{text}"
        );
        match expected {
            Parsed::Needs(needed) => assert!(
                matches!(&parsed, Err(Error::FeatureOff { feature, .. }) if *feature == needed),
                "{text}: {parsed:?}"
            ),
            Parsed::Folder | Parsed::Url => assert_eq!(parsed?.to_string(), text),
        }
    }
    Ok(())
}

#[test]
fn without_their_features_google_and_azure_are_named() {
    // With them, what opening says depends on the environment.
    let cases = [
        ("gs://bucket/x", "gcs", cfg!(feature = "gcs")),
        ("az://container/x", "azure", cfg!(feature = "azure")),
        ("abfs://container/x", "azure", cfg!(feature = "azure")),
        ("abfss://c@a.dfs.x/x", "azure", cfg!(feature = "azure")),
    ];
    for (text, needed, enabled) in cases {
        let off = matches!(Location::parse(text), Err(Error::FeatureOff { feature, .. }) if feature == needed);
        assert_eq!(off, !enabled, "{text}");
    }
}

#[test]
fn an_unknown_scheme_is_answered_with_the_known_ones() {
    let refused = Location::parse("ftp://host/runs").expect_err("no such store");
    let message = refused.to_string();
    assert!(matches!(refused, Error::UnknownScheme { scheme, .. } if scheme == "ftp"));
    assert!(
        message.contains("s3://") && message.contains("memory://"),
        "{message}"
    );
}

#[test]
fn a_url_in_the_place_of_a_path_is_refused() {
    let refused = Location::from("s3://key:secret@bucket/runs").check(&ZarrOptions::default());
    let message = refused.expect_err("a URL").to_string();
    assert!(message.contains("Location::parse"), "{message}");
}

#[cfg(feature = "object-store")]
#[test]
fn credentials_in_a_url_are_refused_and_not_shown() {
    let cases = [
        ("memory:///x?token=secret", true),
        ("memory:///x#secret", true),
        ("s3://key:secret@bucket/x", cfg!(feature = "s3")),
        ("s3://secret@bucket/x", cfg!(feature = "s3")),
        ("https://key:secret@host/x", cfg!(feature = "http")),
        ("https://host/x?sig=secret", cfg!(feature = "http")),
        ("https://key:secret@host:port/x", cfg!(feature = "http")),
    ];
    for (text, enabled) in cases {
        let refused = Location::parse(text).expect_err(text);
        assert_eq!(matches!(refused, Error::Option { .. }), enabled, "{text}");
        assert!(!format!("{refused} {refused:?}").contains("secret"));
    }
    let host = Location::parse("memory://runs/first").expect_err("a host");
    assert!(host.to_string().contains("three slashes"), "{host}");
}
