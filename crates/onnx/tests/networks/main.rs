//! Exported networks against PyTorch.

mod golden;
mod models;
mod opened;
mod parameters;
