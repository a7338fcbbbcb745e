//! The `ticker` command.
fn main() {}
