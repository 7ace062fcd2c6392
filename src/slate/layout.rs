//! Where things stand: all in fractions of one unit, so that every size looks the same.

use super::model::{Slate, Tone};
use super::qr::Qr;
use super::text::{clean, escape, wrap};

const WHITE: &str = "#f4f6f8";
const GREY: &str = "#a3b0be";
const ORANGE: &str = "#f9a826";
const GREEN: &str = "#58c896";
const RED: &str = "#ff7a6b";

const MARGIN: f64 = 0.075;
/// The largest side of the code, and what its caption may take below it.
const CODE: f64 = 0.68;
const CAPTION: f64 = 0.14;

const TITLE_CHARS: usize = 60;
const LINE_CHARS: usize = 160;
/// More lines than these are left out.
const TITLE_LINES: usize = 2;
const BODY_LINES: usize = 6;

/// How wide a letter is on average, of the height of its font; rather too much.
const REGULAR: f64 = 0.58;
const BOLD: f64 = 0.67;
const CAPTION_CHARS: usize = 100;

/// A text's place. All in pixels.
#[derive(Debug, PartialEq)]
pub struct Block {
    pub markup: String,
    pub x: i32,
    pub width: i32,
    pub place: Place,
    pub centred: bool,
}

/// A distance from an edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    Top(i32),
    Bottom(i32),
}

/// A square of whole pixels a module.
pub struct CodePlace {
    pub qr: Qr,
    pub x: usize,
    pub y: usize,
    pub module: usize,
}

pub struct Layout {
    pub blocks: Vec<Block>,
    pub code: Option<CodePlace>,
}

/// The picture's frame of reference.
struct Frame {
    width: f64,
    height: f64,
    /// Of a picture of 16:9, its height.
    unit: f64,
}

impl Frame {
    fn new(width: u32, height: u32) -> Self {
        let (width, height) = (f64::from(width), f64::from(height));
        // Below one another, text and code need half as much again.
        let (across, down) = if is_wide(width, height) {
            (9. / 16., 1.)
        } else {
            (0.9, 1. / 1.5)
        };
        let unit = (height * down).min(width * across).max(1.);
        Self { width, height, unit }
    }

    fn is_wide(&self) -> bool {
        is_wide(self.width, self.height)
    }

    fn font(&self, fraction: f64) -> f64 {
        // Below that letters are no longer told apart.
        (self.unit * fraction).max(7.)
    }
}

fn is_wide(width: f64, height: f64) -> bool {
    width > height * 1.25
}

impl Layout {
    pub fn new(slate: &Slate, width: u32, height: u32) -> Self {
        let frame = Frame::new(width, height);
        let code = slate
            .code
            .as_ref()
            .and_then(|code| Some((place_code(&frame, &code.content)?, code)));
        let margin = frame.unit * MARGIN;
        let beside = code
            .as_ref()
            .filter(|_| frame.is_wide())
            .map(|(code, _)| code.x as f64 - margin);
        let column = beside.unwrap_or(frame.width - margin);
        let text_width = pixels(column - margin);
        let above_code = code
            .as_ref()
            .filter(|_| !frame.is_wide())
            .map(|(code, _)| code.y as f64);
        let bottom = above_code.map_or(margin, |y| frame.height - y + margin * 0.5);
        let block = |markup, place| Block {
            markup,
            x: pixels(margin),
            width: text_width,
            place,
            centred: false,
        };
        let mut blocks = vec![
            block(
                heading(&frame, slate, column - margin),
                Place::Top(pixels(margin)),
            ),
            block(
                body(&frame, slate, column - margin),
                Place::Bottom(pixels(bottom)),
            ),
        ];
        blocks.extend(
            code.as_ref()
                .map(|(place, code)| caption(&frame, place, &code.caption)),
        );
        blocks.retain(|block| !block.markup.is_empty());
        Self {
            blocks,
            code: code.map(|(place, _)| place),
        }
    }
}

/// Right of the text where there is room, else below it.
fn place_code(frame: &Frame, content: &str) -> Option<CodePlace> {
    let qr = Qr::new(content)?;
    let module = qr.module_size(whole(frame.unit * CODE));
    let side = (module * qr.width()) as f64;
    let caption = frame.unit * CAPTION;
    let (x, y) = if frame.is_wide() {
        (
            frame.width - frame.unit * MARGIN - side,
            (frame.height - side - caption) / 2.,
        )
    } else {
        (
            (frame.width - side) / 2.,
            frame.height - side - caption - frame.unit * MARGIN / 2.,
        )
    };
    (module > 0 && x >= 0. && y >= 0.).then(|| CodePlace {
        qr,
        x: whole(x),
        y: whole(y),
        module,
    })
}

fn heading(frame: &Frame, slate: &Slate, width: f64) -> String {
    let title = clean(&slate.title, TITLE_CHARS);
    // A long name in smaller letters, so that the price keeps its place.
    let size = frame.font(if title.chars().count() > 18 { 0.058 } else { 0.078 });
    let mut lines = styled(&title, ("Sans Bold", BOLD, size, WHITE), width, TITLE_LINES);
    for fact in &slate.facts {
        let fact = clean(fact, LINE_CHARS);
        lines.extend(styled(
            &fact,
            ("Sans", REGULAR, frame.font(0.036), GREY),
            width,
            2,
        ));
    }
    lines.join("\n")
}

fn body(frame: &Frame, slate: &Slate, width: f64) -> String {
    let colour = match slate.tone {
        Tone::Busy => GREEN,
        Tone::Ask => ORANGE,
        Tone::Trouble => RED,
    };
    let status = clean(&slate.status, TITLE_CHARS);
    let mut lines = styled(
        &status,
        ("Sans Bold", BOLD, frame.font(0.056), colour),
        width,
        TITLE_LINES,
    );
    for note in &slate.notes {
        let room = BODY_LINES.saturating_sub(lines.len());
        let note = clean(note, LINE_CHARS);
        lines.extend(styled(
            &note,
            ("Sans", REGULAR, frame.font(0.038), WHITE),
            width,
            room,
        ));
    }
    lines.join("\n")
}

/// A text in lines that fit into a width.
fn styled(
    text: &str,
    (face, letter, size, colour): (&str, f64, f64, &str),
    width: f64,
    limit: usize,
) -> Vec<String> {
    let lines = wrap(text, whole(width / (size * letter)), limit);
    lines.iter().map(|line| span(line, face, size, colour)).collect()
}

/// In even lines, so that they can be compared.
fn caption(frame: &Frame, place: &CodePlace, text: &str) -> Block {
    let side = (place.module * place.qr.width()) as f64;
    let font = frame.font(0.03);
    let text: Vec<char> = clean(text, CAPTION_CHARS).chars().collect();
    // A character of a monospaced font is 0.602 as wide as the font is high.
    let room = whole(side / (font * 0.61)).max(1);
    let lines = text.len().div_ceil(room).max(1);
    let lines: Vec<String> = text
        .chunks(text.len().div_ceil(lines).max(1))
        .map(|line| line.iter().collect())
        .collect();
    Block {
        markup: span(&lines.join("\n"), "Monospace", font, GREY),
        x: pixels(place.x as f64),
        width: pixels(side),
        place: Place::Top(pixels(place.y as f64 + side + frame.unit * 0.02)),
        centred: true,
    }
}

fn span(text: &str, face: &str, size: f64, colour: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let text = escape(text);
    format!(
        "<span font=\"{face} {}px\" foreground=\"{colour}\">{text}</span>",
        pixels(size)
    )
}

#[allow(clippy::cast_possible_truncation)] // of at most some thousand
fn pixels(value: f64) -> i32 {
    value.round() as i32
}

fn whole(value: f64) -> usize {
    usize::try_from(pixels(value.floor())).unwrap_or(0)
}
