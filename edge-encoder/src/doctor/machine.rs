use std::path::Path;

use super::Finding;
use crate::agent::read_machine_id;

/// Checks whether the machine has an id, by which a copied spool is recognised.
pub(super) fn examine(path: &Path) -> Finding {
    match read_machine_id(path) {
        Ok(_) => Finding::good("machine", format!("{} has the id of this machine", path.display())),
        Err(error) => Finding::poor(
            "machine",
            error,
            "create the id with systemd-machine-id-setup, or configure a file with 32 random hexadecimal digits \
             as machine_id_file in [spool], so that copies of the spool on other machines can be told apart",
        ),
    }
}
