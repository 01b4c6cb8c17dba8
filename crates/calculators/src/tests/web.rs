use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
};

use super::{Folder, problem};
use crate::{Calculator, Error, Location, RowSource, Sequential, StoredFactors, ZarrOptions};

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// Serves the files of a folder as the plainest of web servers would, without ranges; returns its
/// URL.
fn serve(folder: PathBuf) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that went away is not this server's concern.
            drop(answer(&stream, &folder));
        }
    });
    Ok(url)
}

fn answer(mut stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next(), words.next().unwrap_or_default());
    let file = fs::read(folder.join(path.trim_start_matches('/')));
    let (status, body) = match (method, file) {
        (Some("GET"), Ok(body)) => ("200 OK", body),
        (Some("GET"), Err(_)) => ("404 Not Found", Vec::new()),
        _ => ("405 Method Not Allowed", Vec::new()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

#[test]
fn factors_are_read_from_a_web_server() -> Outcome {
    let (problem, folder) = (problem(7, 3)?, Folder::new("web"));
    let calculator = Sequential::new(&problem.model);
    let lazy = calculator.influence_factors(&problem.test).with_chunks(3)?;
    lazy.to_zarr(folder.0.join("factors.zarr"), &ZarrOptions::default())?;
    let url = serve(folder.0.clone())?;
    let factors = StoredFactors::open(Location::parse(&format!("{url}/factors.zarr"))?)?;
    assert!(factors.is_complete()?);
    let in_memory = calculator
        .influence_factors(&problem.test)
        .with_chunks(3)?
        .to_array()?;
    assert_eq!(factors.rows(2..7)?, in_memory.rows(2..7)?);
    fs::remove_file(folder.0.join("factors.zarr/factors/c/1/0"))?;
    assert!(matches!(factors.rows(0..7), Err(Error::Missing { rows, .. }) if rows == (3..6)));
    let nothing = StoredFactors::open(Location::parse(&format!("{url}/other.zarr"))?);
    assert!(matches!(nothing, Err(Error::NotZarr { .. })));
    Ok(())
}

#[test]
fn a_web_server_is_not_written_to() -> Outcome {
    let problem = problem(2, 3)?;
    // Nobody listens here: the refusal comes before anything is sent.
    let location = Location::parse("http://127.0.0.1:1/influences.zarr")?;
    let options = ZarrOptions::default();
    assert!(matches!(
        location.check(&options),
        Err(Error::ReadOnly { .. })
    ));
    let calculator = Sequential::new(&problem.model);
    let refused = calculator
        .influences(&problem.test, &problem.train)
        .to_zarr(location, &options);
    assert!(matches!(refused, Err(Error::ReadOnly { .. })));
    Ok(())
}
