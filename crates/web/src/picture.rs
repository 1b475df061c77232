//! How large a picture is shown, which is known before its bytes are here.

use tidings_view::Picture;

/// The largest, in CSS pixels: width and height.
const LARGEST: (usize, usize) = (320, 240);
/// What a browser is made to unpack, in pixels: more than a camera takes. A small file can claim to be any size.
const PIXELS: usize = 50_000_000;

/// Width and height on screen: no larger than the picture is, and in its own shape. None where it is not shown.
pub fn shown_at(picture: Picture) -> Option<(usize, usize)> {
    let Picture { width, height } = picture;
    width.checked_mul(height).filter(|pixels| (1..=PIXELS).contains(pixels))?;
    let scale = (LARGEST.0 as f64 / width as f64).min(LARGEST.1 as f64 / height as f64).min(1.0);
    let scaled = |side: usize| ((side as f64 * scale).round() as usize).max(1);
    Some((scaled(width), scaled(height)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_shape_and_is_never_made_larger() {
        let at = |width, height| shown_at(Picture { width, height });
        assert_eq!(at(16, 16), Some((16, 16)));
        assert_eq!(at(319, 239), Some((319, 239)));
        assert_eq!(at(320, 240), Some((320, 240)));
        assert_eq!(at(321, 240), Some((320, 239)));
        assert_eq!(at(4000, 3000), Some((320, 240)));
        assert_eq!(at(3000, 4000), Some((180, 240)));
        assert_eq!(at(1, 10_000), Some((1, 240)), "there is always something of it");
    }

    #[test]
    fn what_would_fill_the_memory_is_not_shown() {
        let at = |width, height| shown_at(Picture { width, height }).is_some();
        assert!(at(PIXELS - 1, 1) && at(PIXELS, 1) && at(1, PIXELS));
        assert!(!at(PIXELS + 1, 1) && !at(usize::MAX, 2) && !at(0, 9) && !at(9, 0));
    }
}
