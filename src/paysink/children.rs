//! What is reached as `name::property`.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::StreamiumPaySink;

impl ChildProxyImpl for StreamiumPaySink {
    fn child_by_index(&self, index: u32) -> Option<glib::Object> {
        let index = usize::try_from(index).ok()?;
        self.obj()
            .children()
            .into_iter()
            .nth(index)
            .map(|child| child.upcast())
    }

    fn children_count(&self) -> u32 {
        u32::try_from(self.obj().children().len()).unwrap_or(u32::MAX)
    }

    fn child_by_name(&self, name: &str) -> Option<glib::Object> {
        if name == "signaller" {
            return self.signaller().map(|signaller| signaller.object().clone());
        }
        // The pads, as webrtcsink has it, and what is in the bin, as any bin has it.
        let pad = self
            .obj()
            .static_pad(name)
            .map(|pad| pad.upcast::<glib::Object>());
        pad.or_else(|| self.obj().by_name(name).map(|child| child.upcast()))
    }
}
