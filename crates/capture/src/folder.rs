#[derive(Debug)] pub struct Taken;
