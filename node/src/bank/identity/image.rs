//! Images: the very file, or, where the bank's policy has it, one that looks the same.
//!
//! What an image looks like is a hash of 256 bits: its brightness on 64 × 64 fields, of that the 16 × 16 slowest waves
//! of a cosine transform, of each whether it is above their median. Encoding, scaling and noise leave slow waves alone.
//! Two images look the same where at most [`distance_max`](super::settings::ImageSettings) bits differ.

use std::io::Cursor;
use std::panic::catch_unwind;

use ::image::{ImageFormat, ImageReader, Limits, imageops};
use zeroize::Zeroizing;

use super::media::Stored;
use super::settings::ImageSettings;
use super::{Context, IdentityType, Malformed, Match, Mismatch, Unfit};

/// Fields across and down.
const FIELDS: u32 = 64;
/// Waves across and down.
const WAVES: u32 = 16;
/// What a decoder may allocate: eight bytes a pixel, two for each of three colours of a progressive JPEG and some.
const ALLOCATION_PER_PIXEL: u64 = 8;
/// Waves below this are no picture: a blank page looks like every other.
const CONTRAST_MIN: f32 = 400.0;
/// What is told of other bytes.
const EXPECTED: &str = "a PNG or JPEG file";

/// The type `image`.
pub(super) struct Image;

impl IdentityType for Image {
    fn kind(&self) -> &'static str {
        "image"
    }

    fn evidence_bytes_max(&self) -> usize {
        8 * 1024 * 1024
    }

    fn well_formed(&self, evidence: &[u8], _: &Context<'_>) -> Result<(), Malformed> {
        format(evidence).map(|_| ()).ok_or(Malformed { expected: EXPECTED })
    }

    fn enrol(&self, material: &[u8], context: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Unfit> {
        let settings = &context.settings.image;
        format(material).ok_or(Unfit::Material("not a PNG or JPEG file"))?;
        let look = settings.perceptual.then(|| look(material, settings)).transpose().map_err(Unfit::Material)?;
        Stored::of(material, look).map(|stored| stored.encode())
    }

    fn verify(&self, stored: &[u8], evidence: &[u8], context: &Context<'_>) -> Result<Match, Mismatch> {
        let stored = Stored::decode(stored)?;
        let settings = &context.settings.image;
        if stored.is(evidence) {
            return Ok(Match::default());
        }
        // Decoded whether or not there is something to compare it with, so that time tells nothing.
        let found = settings.perceptual.then(|| look(evidence, settings).ok()).flatten();
        let looks = stored.look.as_deref().zip(found);
        let same_look = looks.is_some_and(|(enrolled, found)| distance(enrolled, &found) <= settings.distance_max);
        if same_look { Ok(Match::default()) } else { Err(Mismatch::Differs) }
    }

    fn dummy(&self, evidence: &[u8], context: &Context<'_>) {
        let _ignored = self.verify(&Stored::nobody(Some([0; 32])).encode(), evidence, context);
    }
}

fn format(file: &[u8]) -> Option<ImageFormat> {
    ::image::guess_format(file).ok().filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg))
}

pub(super) fn distance(one: &[u8; 32], other: &[u8; 32]) -> u32 {
    one.iter().zip(other).fold(0, |sum, (a, b)| sum.saturating_add((a ^ b).count_ones()))
}

/// The hash of what an image looks like.
pub(super) fn look(file: &[u8], settings: &ImageSettings) -> Result<[u8; 32], &'static str> {
    let fields = fields(file, settings)?;
    let mut waves: Vec<f32> = Vec::with_capacity((WAVES * WAVES) as usize);
    let basis: Vec<Vec<f32>> = (0..WAVES).map(|wave| (0..FIELDS).map(|at| cosine(wave, at)).collect()).collect();
    // Rows first, then columns: the transform is separable.
    let rows: Vec<Vec<f32>> = fields.iter().map(|row| basis.iter().map(|wave| dot(wave, row)).collect()).collect();
    for across in 0..WAVES as usize {
        let column: Vec<f32> = rows.iter().filter_map(|row| row.get(across).copied()).collect();
        waves.extend(basis.iter().map(|wave| dot(wave, &column)));
    }
    // The first is the mean brightness, which says nothing of the picture.
    if let Some(mean) = waves.first_mut() {
        *mean = 0.0;
    }
    if waves.iter().map(|wave| wave.abs()).sum::<f32>() < CONTRAST_MIN {
        return Err("the image is too uniform to be told from others");
    }
    let mut sorted = waves.clone();
    sorted.sort_by(f32::total_cmp);
    let median = sorted.get(waves.len() / 2).copied().unwrap_or_default();
    let mut hash = [0_u8; 32];
    for (byte, eight) in hash.iter_mut().zip(waves.chunks(8)) {
        *byte = eight.iter().fold(0, |byte, wave| (byte << 1) | u8::from(*wave > median));
    }
    Ok(hash)
}

fn cosine(wave: u32, at: u32) -> f32 {
    let (wave, at, fields) = (wave as f32, at as f32, FIELDS as f32);
    (std::f32::consts::PI * wave * (2.0 * at + 1.0) / (2.0 * fields)).cos() / fields.sqrt()
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// The brightness of 64 × 64 fields, decoded within limits.
fn fields(file: &[u8], settings: &ImageSettings) -> Result<Vec<Vec<f32>>, &'static str> {
    // A decoder of hostile bytes may panic, the more so as overflow is checked: then it is no image either.
    let decoded = catch_unwind(|| decode(file, settings.pixels_max)).map_err(|_| "the image cannot be decoded")??;
    let small = imageops::thumbnail(&decoded, FIELDS, FIELDS);
    Ok(small.rows().map(|row| row.map(|pixel| f32::from(pixel.0[0])).collect()).collect())
}

fn decode(file: &[u8], pixels_max: u64) -> Result<::image::GrayImage, &'static str> {
    let format = format(file).ok_or("not a PNG or JPEG file")?;
    let reader = || ImageReader::with_format(Cursor::new(file), format);
    let (width, height) = reader().into_dimensions().map_err(|_| "the image cannot be read")?;
    if u64::from(width).saturating_mul(u64::from(height)) > pixels_max {
        return Err("the image has too many pixels");
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(width);
    limits.max_image_height = Some(height);
    limits.max_alloc = Some(pixels_max.saturating_mul(ALLOCATION_PER_PIXEL));
    let mut reader = reader();
    reader.limits(limits);
    reader.decode().map(|image| image.to_luma8()).map_err(|_| "the image cannot be decoded")
}
