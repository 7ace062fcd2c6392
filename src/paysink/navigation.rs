//! GstNavigation, for applications that look for it as they do with webrtcsink.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::prelude::NavigationExt;
use gst_video::subclass::prelude::*;

use super::CAT;
use super::imp::StreamiumPaySink;

impl NavigationImpl for StreamiumPaySink {
    fn send_event(&self, structure: gst::Structure) {
        match self
            .inner()
            .and_then(|inner| inner.dynamic_cast_ref::<gst_video::Navigation>())
        {
            Some(inner) => inner.send_event(structure),
            None => gst::warning!(CAT, imp = self, "the installed webrtcsink has no navigation"),
        }
    }
}
