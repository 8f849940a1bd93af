/// The name of a head in logs and metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadName<'a> {
    pub(crate) bundle: &'a str,
    pub(crate) head: &'a str,
    pub(crate) version: u32,
}
