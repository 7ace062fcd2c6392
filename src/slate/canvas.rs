//! What pango does not draw: the background and the code, as BGRx pixels.

use super::layout::{CodePlace, Layout};

const BACKGROUND: [u8; 4] = [0x20, 0x18, 0x12, 0xff];
const LIGHT: [u8; 4] = [0xff; 4];
const DARK: [u8; 4] = [0, 0, 0, 0xff];

pub fn paint(layout: &Layout, width: usize, height: usize) -> Vec<u8> {
    let mut pixels: Vec<u8> = BACKGROUND.repeat(width * height);
    if let Some(code) = &layout.code {
        paint_code(code, &mut pixels, width);
    }
    pixels
}

fn paint_code(code: &CodePlace, pixels: &mut [u8], width: usize) {
    let side = code.qr.width() * code.module;
    let rows = pixels.chunks_exact_mut(width * 4).skip(code.y).take(side);
    for (y, row) in rows.enumerate() {
        let row = row.chunks_exact_mut(4).skip(code.x).take(side);
        for (x, pixel) in row.enumerate() {
            let dark = code.qr.is_dark(x / code.module, y / code.module);
            pixel.copy_from_slice(if dark { &DARK } else { &LIGHT });
        }
    }
}
