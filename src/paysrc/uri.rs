//! Links as URIs, so that players open them.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use streamium_channel::link::Link;

use super::imp::StreamiumPaySrc;

impl URIHandlerImpl for StreamiumPaySrc {
    const URI_TYPE: gst::URIType = gst::URIType::Src;

    fn protocols() -> &'static [&'static str] {
        &["streamium", "streamiums"]
    }

    fn uri(&self) -> Option<String> {
        self.settings().uri.clone()
    }

    fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
        if self.obj().current_state() > gst::State::Ready {
            return Err(glib::Error::new(
                gst::URIError::BadState,
                "the link can't be changed while playing",
            ));
        }
        uri.parse::<Link>()
            .map_err(|error| glib::Error::new(gst::URIError::BadUri, &error.to_string()))?;
        self.settings().uri = Some(uri.to_owned());
        Ok(())
    }
}
