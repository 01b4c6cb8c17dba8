//! Exported networks against PyTorch.

mod golden;
mod losses;
mod models;
mod opened;
mod parameters;
