//! Referrals as they come in: the picture of a QR code, a file with the text, or the text itself. All of it is a
//! stranger's, so it is read as hostile.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{FilterType, blur, resize};
use image::{GrayImage, ImageFormat, ImageReader, Limits};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::referral::{Referral, TEXT_PREFIX, from_text};
use stemma_chain_format::registry::Registry;
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::read_referral;

use crate::error::CliError;
use crate::files;

/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Largest picture on either side, in pixels.
const PICTURE_PIXELS_MAX: u32 = 12_000;
/// Most memory that a picture's decoder may take, in bytes.
const PICTURE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Sides to which a picture is made smaller where no code is found in it: what is blurred away is noise.
const SIDES: [u32; 4] = [1_600, 1_000, 700, 500];
/// How much a picture is enlarged, and then smoothed (standard deviation in pixels), where no code is found in it otherwise.
const SMOOTHINGS: [(u32, f32); 4] = [(1, 0.8), (2, 1.6), (2, 2.4), (3, 3.2)];
/// Largest side of a picture that is enlarged and smoothed: in larger ones, making them smaller does the same.
const SMOOTHED_SIDE_MAX: u32 = 1_200;
/// Characters shown of a code that is no referral.
const SHOWN_CHARS: usize = 40;

/// The signed referral's bytes, from the text itself or a file; `-` is standard input.
///
/// # Errors
/// There is none, or it is damaged; [`CliError`] says which.
pub fn read(given: &str) -> Result<Vec<u8>, CliError> {
    if given.trim_start().starts_with(TEXT_PREFIX) {
        return of_text(given.trim(), "the text");
    }
    let path = Path::new(given);
    let bytes = files::read_up_to(path, FILE_BYTES_MAX)?;
    let name = path.display().to_string();
    match image::guess_format(&bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => of_text(&code_in(&bytes, format, &name)?, &name),
        _ => of_file(&bytes, &name),
    }
}

/// Checks a referral against the members of the genesis, the trade that is to carry it, and the height.
///
/// # Errors
/// It is not genuine, promotes something else, or holds no longer.
pub fn must_hold(
    bytes: &[u8],
    genesis: &GenesisFile,
    side: Side,
    instrument: &InstrumentId,
    height: u64,
) -> Result<Referral, CliError> {
    let signed = read_referral(bytes, &Registry::from_genesis(genesis)).map_err(|violation| {
        CliError::no("the referral is not genuine")
            .caused_by(&violation)
            .help("ask whoever gave it to you for a new one, or trade without it")
    })?;
    let referral = signed.record();
    if !referral.matches(side, instrument) {
        let promoted = match referral.side {
            Some(side) => format!("to {side} {}", referral.instrument),
            None => format!("to buy or sell {}", referral.instrument),
        };
        return Err(CliError::no(format!("the referral is one {promoted}, not to {side} {instrument}"))
            .help("trade what it promotes, or trade without it"));
    }
    if !referral.is_open_at(height.saturating_add(1)) {
        let message = format!("the referral held up to height {}; the network is at {height}", referral.expires);
        return Err(CliError::no(message).help("ask whoever gave it to you for a new one, or trade without it"));
    }
    Ok(referral.clone())
}

fn of_text(text: &str, name: &str) -> Result<Vec<u8>, CliError> {
    from_text(text).map_err(|violation| {
        CliError::usage(format!("{name} is a damaged referral"))
            .caused_by(&violation)
            .help("copy it whole, from STEMMA1: to its end")
    })
}

/// A file of text: the line that is a referral.
fn of_file(bytes: &[u8], name: &str) -> Result<Vec<u8>, CliError> {
    let wrong = |message: String| {
        CliError::usage(message).help("give a PNG or JPEG of the QR code, a file with the text STEMMA1:…, or the text")
    };
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(format!("{name} is neither a picture nor text")))?;
    if text.trim_start().starts_with('<') {
        return Err(wrong(format!("{name} is a drawing, from which no code is read")));
    }
    let line = text.lines().map(str::trim).find(|line| line.starts_with(TEXT_PREFIX));
    of_text(line.ok_or_else(|| wrong(format!("{name} holds no referral")))?, name)
}

/// What the referral's QR code in a picture says.
fn code_in(bytes: &[u8], format: ImageFormat, name: &str) -> Result<String, CliError> {
    let broken =
        |error: &dyn std::error::Error| CliError::usage(format!("{name} is no readable picture")).caused_by(error);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(PICTURE_PIXELS_MAX);
    limits.max_image_height = Some(PICTURE_PIXELS_MAX);
    limits.max_alloc = Some(PICTURE_BYTES_MAX);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| broken(&error))?.into_luma8();
    let mut other = None;
    for found in codes(&picture) {
        if found.starts_with(TEXT_PREFIX) {
            return Ok(found);
        }
        other = Some(found);
    }
    Err(match other {
        Some(other) => {
            let start: String = other.chars().take(SHOWN_CHARS).collect();
            CliError::usage(format!("the QR code in {name} is no referral: it says {start:?}"))
                .help("give the picture of the code that `stemma promote` made")
        }
        None => CliError::usage(format!("there is no QR code to be read in {name}"))
            .help("take the picture nearer, straight and in good light; or give the text under the code"),
    })
}

/// What all codes say that are found in the picture as it is, then in ever smaller ones, then with its noise smoothed, as it is and
/// enlarged.
fn codes(picture: &GrayImage) -> impl Iterator<Item = String> {
    let side = picture.width().max(picture.height());
    let smaller = SIDES.into_iter().filter(move |smaller| *smaller < side).map(move |smaller| {
        let scaled = |pixels: u32| {
            let scaled = u64::from(pixels).saturating_mul(smaller.into()).checked_div(side.into());
            u32::try_from(scaled.unwrap_or(1)).unwrap_or(1).max(1)
        };
        resize(picture, scaled(picture.width()), scaled(picture.height()), FilterType::Triangle)
    });
    let is_small = side <= SMOOTHED_SIDE_MAX;
    let smoothed = SMOOTHINGS.into_iter().filter(move |_| is_small).flat_map(|(enlarged, sigma)| {
        let scaled = |pixels: u32| pixels.saturating_mul(enlarged);
        let larger = resize(picture, scaled(picture.width()), scaled(picture.height()), FilterType::CatmullRom);
        [blur(&larger, sigma)]
    });
    std::iter::once(picture.clone()).chain(smaller).chain(smoothed).flat_map(|picture| codes_as_it_is(&picture))
}

fn codes_as_it_is(picture: &GrayImage) -> Vec<String> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let light = |x: usize, y: usize| {
        let place = u32::try_from(x).ok().zip(u32::try_from(y).ok());
        place.and_then(|(x, y)| picture.get_pixel_checked(x, y)).map_or(255, |pixel| pixel.0[0])
    };
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, light);
    let grids = prepared.detect_grids();
    grids.iter().filter_map(|grid| grid.decode().ok().map(|(_, text)| text)).collect()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "tests may panic")]
mod tests {
    use stemma_node_api::qr::Code;

    use super::*;

    /// Pictures come from strangers: whatever is in them, the decoder neither panics nor makes something up.
    #[test]
    fn spoiled_codes_are_read_right_or_not_at_all() {
        let text = format!("{TEXT_PREFIX}{}", "A2".repeat(230));
        let code = image::load_from_memory(&Code::of(&text).unwrap().png().unwrap()).unwrap().into_luma8();
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut read = 0;
        for round in 0..60_u64 {
            let (width, height) = (1 + random(700), 1 + random(700));
            let mut picture = resize(&code, width as u32, height as u32, FilterType::Triangle);
            for _ in 0..round * random(40) {
                let (x, y, size) = (random(width), random(height), 1 + random(60));
                let light = random(256) as u8;
                for (x, y) in (x..x + size).flat_map(|x| (y..y + size).map(move |y| (x, y))) {
                    if let Some(pixel) = picture.get_pixel_mut_checked(x as u32, y as u32) {
                        pixel.0 = [light];
                    }
                }
            }
            let found: Vec<String> = codes(&picture).collect();
            read += usize::from(!found.is_empty());
            assert!(found.iter().all(|found| *found == text), "round {round}");
        }
        assert!(read > 0);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bomb.png");
        let mut file = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut file);
        let line = vec![0; 12_001];
        image::ImageEncoder::write_image(encoder, &line, 12_001, 1, image::ExtendedColorType::L8).unwrap();
        std::fs::write(&path, file).unwrap();
        let refused = read(path.to_str().unwrap()).unwrap_err();
        assert!(refused.message().contains("no readable picture"), "{refused:?}");
    }
}
