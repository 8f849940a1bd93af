//! The settings of the commands, from flags, environment variables and the config file, in this order of precedence.
//!
//! Each table of the config file is one struct: its fields are the keys of the file and, where there is one, the flag
//! with its variable and help text. A key of the root table that is a flag of several commands is a struct with one
//! field. The struct of the command line is merged over the struct of the file, and then checked into the type that the
//! program works with. `/etc/lopside/edge.toml` explains the keys.

mod bundle;
mod config_file;
mod connection;
mod device;
mod folder;
mod image_codec;
mod image_table;
mod images;
mod output;
mod rate;
mod root;
mod seconds;
mod socket;
mod source;
mod spool;
mod stream;
mod tail;
mod update;
mod uplink;

pub(crate) use self::config_file::read_config_file;
#[cfg(feature = "send")]
pub(crate) use self::connection::check_security;
pub(crate) use self::images::image_policy;
pub use self::{
    bundle::BundleArg,
    connection::{
        ApiKeyArg, CaArg, ClientCertArg, ClientKeyArg, EndpointArg, ProxyArg, ProxyValue, TimeoutArg,
    },
    image_codec::ImageCodecArgs,
    images::{BackgroundArg, Colour, DamagedImagesArg, DamagedImagesChoice},
    output::OutArg,
    root::RootTable,
    socket::SocketArg,
};
