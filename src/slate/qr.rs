//! A QR code's modules, and how large they can be.

use qrcode::{Color, EcLevel, QrCode};

/// What scanners need around the code, in modules.
const QUIET_ZONE: usize = 4;

/// A code with its quiet zone.
pub struct Qr {
    modules: Vec<Color>,
    width: usize,
}

impl Qr {
    /// `None` if it is more than a code can hold.
    pub fn new(content: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(content, EcLevel::M).ok()?;
        Some(Self {
            width: code.width(),
            modules: code.into_colors(),
        })
    }

    /// With the quiet zone, in modules.
    pub fn width(&self) -> usize {
        self.width + 2 * QUIET_ZONE
    }

    /// The largest size of one module, in whole pixels, with which the code fits into so many.
    pub fn module_size(&self, pixels: usize) -> usize {
        pixels / self.width()
    }

    /// Whether the module in this place, counted with the quiet zone, is dark.
    pub fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|at| *at < self.width);
        let place = inside(y).zip(inside(x)).map(|(y, x)| y * self.width + x);
        place.and_then(|place| self.modules.get(place)) == Some(&Color::Dark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_quiet_zone_and_a_corner() {
        let qr = Qr::new("bitcoin:bc1qxy").unwrap();
        for at in 0..qr.width() {
            for edge in (0..4).chain(qr.width() - 4..qr.width() + 1) {
                assert!(!qr.is_dark(at, edge) && !qr.is_dark(edge, at));
            }
        }
        assert!(
            (4..11).all(|at| qr.is_dark(at, 4) && qr.is_dark(4, at)),
            "the finder pattern"
        );
        assert!(!qr.is_dark(5, 5) && qr.is_dark(6, 6));
        assert_eq!(qr.module_size(qr.width() * 5 + 4), 5);
        assert!(Qr::new(&"x".repeat(3_000)).is_none());
    }
}
