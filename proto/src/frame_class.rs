use lopside_delivery::Class;

use crate::v1::FrameClass;

impl From<Class> for FrameClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Low => Self::Low,
            Class::Normal => Self::Normal,
            Class::High => Self::High,
        }
    }
}

impl From<FrameClass> for Class {
    fn from(class: FrameClass) -> Self {
        match class {
            FrameClass::Low => Self::Low,
            FrameClass::Normal => Self::Normal,
            FrameClass::High => Self::High,
        }
    }
}
