//! QR codes of referrals: as a picture (PNG, SVG), and as characters for a terminal.
//!
//! Error correction is M, so 15 % of a code may be lost. A referral's text is of capital letters, digits and a colon, which
//! a code holds in its alphanumeric mode; so the largest referral fits version 15.

use qrcode::types::{Color, QrError};
use qrcode::{EcLevel, QrCode, Version};

/// Light modules around the code, as ISO/IEC 18004 asks.
const QUIET_MODULES: usize = 4;
/// A module's width in the PNG, in pixels.
const MODULE_PIXELS: usize = 8;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The text is too long for any code, or not to be put into one.
    #[error("the text fits no QR code")]
    Text(#[source] QrError),
    /// The picture cannot be written.
    #[error("the QR code cannot be written as PNG")]
    Png(#[source] png::EncodingError),
}

/// A QR code with its quiet zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Row by row; dark where true.
    modules: Vec<Vec<bool>>,
    version: i16,
}

impl Code {
    /// The code of a text.
    ///
    /// # Errors
    /// [`CodeError::Text`].
    pub fn of(text: &str) -> Result<Self, CodeError> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(CodeError::Text)?;
        let Version::Normal(version) = code.version() else { return Err(CodeError::Text(QrError::InvalidVersion)) };
        let width = code.width();
        let quiet = |count: usize| std::iter::repeat_n(false, count);
        let light = || quiet(width.saturating_add(2 * QUIET_MODULES)).collect::<Vec<bool>>();
        let colors = code.into_colors();
        let rows = colors.chunks(width).map(|row| {
            let row = row.iter().map(|color| *color == Color::Dark);
            quiet(QUIET_MODULES).chain(row).chain(quiet(QUIET_MODULES)).collect()
        });
        let above = std::iter::repeat_with(light).take(QUIET_MODULES);
        let below = std::iter::repeat_with(light).take(QUIET_MODULES);
        Ok(Self { modules: above.chain(rows).chain(below).collect(), version })
    }

    /// Its version, from 1 to 40: the larger, the finer its modules.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// As a picture, black on white.
    ///
    /// # Errors
    /// [`CodeError::Png`].
    pub fn png(&self) -> Result<Vec<u8>, CodeError> {
        let pixels = self.modules.len().saturating_mul(MODULE_PIXELS);
        let side = u32::try_from(pixels).unwrap_or(u32::MAX);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut data = Vec::new();
        for row in &self.modules {
            // A module is eight pixels wide, so one byte is one module.
            let line: Vec<u8> = row.iter().map(|dark| if *dark { 0x00 } else { 0xff }).collect();
            (0..MODULE_PIXELS).for_each(|_| data.extend_from_slice(&line));
        }
        let mut writer = encoder.write_header().map_err(CodeError::Png)?;
        writer.write_image_data(&data).map_err(CodeError::Png)?;
        writer.finish().map_err(CodeError::Png)?;
        Ok(file)
    }

    /// As a picture of any size, black on white: dark modules as one path.
    pub fn svg(&self) -> String {
        let side = self.modules.len();
        let mut path = String::new();
        for (y, row) in self.modules.iter().enumerate() {
            for (x, _) in row.iter().enumerate().filter(|(_, dark)| **dark) {
                path.push_str(&format!("M{x} {y}h1v1h-1z"));
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>\n"
        )
    }

    /// As characters, two modules above each other in one. Light modules are drawn, as terminals write light on dark.
    pub fn terminal(&self) -> String {
        let mut text = String::new();
        for pair in self.modules.chunks(2) {
            let (upper, lower) = (pair.first(), pair.get(1));
            let is_dark = |row: Option<&Vec<bool>>, at: usize| row.and_then(|row| row.get(at)).copied().unwrap_or(true);
            for at in 0..self.modules.len() {
                text.push(match (is_dark(upper, at), is_dark(lower, at)) {
                    (false, false) => '█',
                    (false, true) => '▀',
                    (true, false) => '▄',
                    (true, true) => ' ',
                });
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use stemma_chain_format::referral::TEXT_CHARS_MAX;

    use super::*;

    #[test]
    fn the_largest_referral_fits_version_15() {
        let text: String = "STEMMA1:".chars().chain("A2".chars().cycle()).take(TEXT_CHARS_MAX).collect();
        assert_eq!(Code::of(&text).unwrap().version(), 15);
        assert_eq!(Code::of(&format!("{text}A")).unwrap().version(), 16);
        assert!(Code::of(&text.repeat(10)).is_err());
    }

    #[test]
    fn all_forms_show_the_same_modules() {
        let code = Code::of("STEMMA1:MZXW6YTBOI").unwrap();
        let side = code.modules.len();
        let dark = code.modules.iter().flatten().filter(|dark| **dark).count();
        assert_eq!(code.svg().matches("h1v1h-1z").count(), dark);
        let drawn = code.terminal();
        assert_eq!(drawn.lines().count(), side.div_ceil(2));
        assert!(drawn.lines().all(|line| line.chars().count() == side));
        let mut reader = png::Decoder::new(std::io::Cursor::new(code.png().unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let black = pixels.iter().map(|byte| byte.count_zeros()).sum::<u32>();
        assert_eq!(black as usize, dark * MODULE_PIXELS * MODULE_PIXELS);
    }
}
