//! The `--delivery` flag of the commands that subscribe.

use clap::ValueEnum;

use crate::client::Delivery;

/// What the server sends while this program cannot keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeliveryArg {
    /// The newest tick of each symbol
    Latest,
    /// Every tick, in order
    EveryTick,
}

impl From<DeliveryArg> for Delivery {
    fn from(delivery: DeliveryArg) -> Self {
        match delivery {
            DeliveryArg::Latest => Self::Latest,
            DeliveryArg::EveryTick => Self::EveryTick,
        }
    }
}

impl DeliveryArg {
    /// As it is written on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::EveryTick => "every-tick",
        }
    }
}
