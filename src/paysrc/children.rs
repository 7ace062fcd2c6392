//! What is reached as `name::property`.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::StreamiumPaySrc;

impl ChildProxyImpl for StreamiumPaySrc {
    fn child_by_index(&self, index: u32) -> Option<glib::Object> {
        (index == 0).then(|| self.signaller()).flatten()
    }

    fn children_count(&self) -> u32 {
        1
    }

    fn child_by_name(&self, name: &str) -> Option<glib::Object> {
        if name == "signaller" {
            return self.signaller();
        }
        self.obj().static_pad(name).map(|pad| pad.upcast())
    }
}
