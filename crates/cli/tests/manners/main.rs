//! How the command line behaves towards people, shells and scripts.

mod claims;
mod doctor;
mod fit_shares;
#[path = "../support/folder.rs"]
mod folder;
mod manual;
mod memory;
mod moved;
#[path = "../support/npy.rs"]
mod npy;
mod pipe;
mod program;
mod quiet;
mod rehearsal;
mod terminal;
mod worker;
