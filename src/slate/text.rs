//! Texts of any origin, made fit for pango: cleaned, cut to length, escaped.

/// Whatever can change what is around it, or hide: controls, line ends, and the marks that turn or join text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Marks that are stacked on the character before them.
fn is_stacked(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// One line of at most `limit` characters, with an ellipsis where it was longer.
pub fn clean(text: &str, limit: usize) -> String {
    let mut stacked = 0;
    let shown = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let shown = shown.filter(|c| !is_hidden(*c)).filter(|c| {
        stacked = if is_stacked(*c) { stacked + 1 } else { 0 };
        stacked <= 2
    });
    let mut line: String = shown
        .collect::<String>()
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if let Some((end, _)) = line.char_indices().nth(limit) {
        let cut = line
            .char_indices()
            .nth(limit.saturating_sub(1))
            .map_or(end, |(at, _)| at);
        line.truncate(cut);
        line.truncate(line.trim_end().len());
        line.push('…');
    }
    line
}

/// Letters of the far east and pictures are twice as wide as others.
fn width(c: char) -> usize {
    let wide = matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f000}'..='\u{3fffd}');
    if wide { 2 } else { 1 }
}

/// At most so many lines of at most so many letters, broken between words where that can be, with an ellipsis where
/// something is left out.
pub fn wrap(text: &str, room: usize, limit: usize) -> Vec<String> {
    let (room, mut lines, mut used) = (room.max(2), Vec::<String>::new(), usize::MAX);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let size: usize = word.chars().map(width).sum();
        if let Some(line) = lines.last_mut().filter(|_| used.saturating_add(size) < room) {
            line.push(' ');
            line.push_str(word);
            used += size + 1;
            continue;
        }
        (used, _) = (0, lines.push(String::new()));
        for c in word.chars() {
            if used + width(c) > room {
                (used, _) = (0, lines.push(String::new()));
            }
            used += width(c);
            lines.last_mut().into_iter().for_each(|line| line.push(c));
        }
    }
    if lines.len() > limit {
        lines.truncate(limit);
        lines
            .last_mut()
            .into_iter()
            .for_each(|line| *line = ellipsis(line, room));
    }
    lines
}

fn ellipsis(line: &str, room: usize) -> String {
    let mut used = 1;
    let kept: String = line
        .chars()
        .take_while(|c| {
            used += width(*c);
            used <= room
        })
        .collect();
    format!("{}…", kept.trim_end())
}

/// What pango reads as this text and as nothing else.
pub fn escape(text: &str) -> String {
    gst::glib::markup_escape_text(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_turns_text_is_taken_out() {
        for (text, shown) in [
            ("a plain name", "a plain name"),
            ("two\nlines\r\nand\ttabs", "two lines and tabs"),
            ("  much   space \u{3000} ", "much space"),
            ("\u{202e}txet denrut\u{202c}", "txet denrut"),
            ("soft\u{ad}hy\u{200b}phen\u{feff}", "softhyphen"),
            ("bell\u{7}null\0", "bellnull"),
            ("a\u{300}\u{300}\u{300}\u{300}b", "a\u{300}\u{300}b"),
            ("Ünïcode 日本語 🎬", "Ünïcode 日本語 🎬"),
        ] {
            assert_eq!(clean(text, 60), shown, "{text:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(clean("日本語テレビ", 6), "日本語テレビ");
        assert_eq!(clean("日本語テレビ局", 6), "日本語テレ…");
        assert_eq!(clean("five more", 6), "five…");
        assert_eq!(clean("x", 0), "…");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(wrap("one two three", 13, 9), ["one two three"]);
        assert_eq!(wrap("seventeen to", 5, 9), ["seven", "teen", "to"]);
        assert_eq!(wrap("日本語 テレビ", 6, 9), ["日本語", "テレビ"]);
        assert_eq!(wrap("one two three", 5, 2), ["one", "two…"]);
        assert_eq!(wrap("一二三四五", 6, 1), ["一二…"]);
        assert!(wrap("", 5, 2).is_empty());
    }

    #[test]
    fn markup_is_shown_and_not_obeyed() {
        let hostile = "<span size='999999'>&amp; \"x\"</b>";
        let markup = escape(hostile);
        assert!(!markup.contains('<') && !markup.contains('>'), "{markup}");
        assert_eq!(
            markup,
            "&lt;span size=&apos;999999&apos;&gt;&amp;amp; &quot;x&quot;&lt;/b&gt;"
        );
    }
}
