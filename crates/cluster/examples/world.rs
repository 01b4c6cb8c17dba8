//! A sum over leaves by all processes of an MPI job, which has the same bits for any number of
//! them, and what becomes of the others when one goes away early.
//!
//! ```sh
//! mpirun -n 3 target/release/examples/world                  # the sum, in each process
//! mpirun -n 3 target/release/examples/world panic            # ends at once, with a code
//! mpirun -n 3 target/release/examples/world return           # so does this
//! ```

use std::{env, error::Error};

use influence_cluster::World;
use influence_core::summation::DataPass;
use ndarray::Array1;

const LEAVES: usize = 37;
const LENGTH: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::join()?;
    let is_last = world.rank() + 1 == world.size();
    match env::args().nth(1).as_deref() {
        Some("panic") if is_last => panic!("in rank {}", world.rank()),
        // The others are waiting for its sums: dropping `world` ends them, too.
        Some("return") if is_last => return Ok(()),
        _ => {}
    }
    let sum = world.summation().sum(&DataPass {
        name: "example",
        operand: &|| Ok(Vec::new()),
        leaves: LEAVES,
        leaf: &|leaf| {
            let number =
                |index| ((leaf * LENGTH + index) as f64).sin() * 10_f64.powf((leaf % 7) as f64);
            Ok(vec![Array1::from_shape_fn(LENGTH, number).into_dyn()])
        },
    })?;
    let bits = sum[0].iter().map(|value| value.to_bits());
    let bits = bits.fold(0_u64, |all, bits| all.rotate_left(5) ^ bits);
    println!("{bits:016x}");
    world.end(0);
    Ok(())
}
