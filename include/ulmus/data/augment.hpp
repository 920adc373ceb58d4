#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/base/random.hpp"
#include "ulmus/data/dataset.hpp"

namespace ulmus {

/// Random changes to a training image before scaling and normalisation, and to a batch afterwards. The text form is a
/// list joined by `+`, in the order of this table, which is the order of application:
///
///     crop[:PAD]             pads PAD black pixels on every side (an eighth of the height), then takes a random part
///                            of the original size
///     rrc[:SHARE]            random resized crop: a part of SHARE (0.08) to 1 of the area with a width of 3/4 to 4/3
///                            of the height, scaled to the image's size; cut from the file if images were resized
///                            (Dataset::read_crop)
///     flip                   mirrors horizontally with probability 1/2
///     jitter[:KEY=VALUE,..]  brightness, contrast, saturation (0.4 each): multiplied by a number in
///                            [1 - VALUE, 1 + VALUE], at least 0; hue (0): rotated by up to VALUE of the circle; in
///                            random order
///     autoaugment            one of the 25 sub-policies found for CIFAR-10 (Cubuk et al., CVPR 2019)
///     randaugment[:n=2,m=10] n operations of strength m / 30 (Cubuk et al., NeurIPS 2020)
///     cutout[:LENGTH]        a black square of side LENGTH (half the shorter side) around a random pixel, clipped at
///                            the border (DeVries and Taylor 2017)
///     mixup[:ALPHA]          on a batch: see mix; ALPHA 0.2 (Zhang et al., ICLR 2018)
///     cutmix[:ALPHA]         on a batch: see mix; ALPHA 1 (Yun et al., ICCV 2019)
///
/// `none` is the empty list, `crop-flip` is an alias of crop+flip.
struct Augmentation {
  struct Jitter {
    double brightness = 0;
    double contrast = 0;
    double saturation = 0;
    double hue = 0;  ///< at most 0.5
    bool any() const { return brightness > 0 || contrast > 0 || saturation > 0 || hue > 0; }
  };

  std::int64_t pad = 0;  ///< crop: pixels on every side, less than the image's shorter side; 0: no crop
  bool flip = false;
  double smallest_share = 0;  ///< rrc: smallest share of the area, in (0, 1]; 0: no resized crop
  Jitter jitter{};
  bool autoaugment = false;
  std::int64_t operations = 0;  ///< randaugment: number of operations; 0: none
  std::int64_t strength = 10;   ///< randaugment: in [0, 30]
  std::int64_t cutout = 0;      ///< side of the square, at most the image's shorter side; 0: none
  double mixup = 0;             ///< alpha; 0: none
  double cutmix = 0;            ///< alpha; 0: none

  /// Defaults that depend on the size are those for images of `shape`. Throws Error{usage} for an unknown name or key
  /// (with the nearest name), a value out of range, or a wrong order (with the list in the correct order).
  static Augmentation parse(std::string_view text, const ImageShape& shape);

  /// Text that `parse` converts back to the same augmentation.
  std::string text() const;
};

/// Throws Error{usage} with the reason if `augmentation` cannot be applied to `data`: a padding, square, share or
/// strength out of range; saturation or hue of images that are not RGB; autoaugment or randaugment of images that are
/// neither RGB nor grey; two that exclude each other (crop and rrc, autoaugment and randaugment, mixup and cutmix);
/// anything but mixup on features.
void require_applicable(const Augmentation& augmentation, const Dataset& data);

/// Augments one image in place, `shape.pixels()` bytes, channels first. Excludes mixup and cutmix, which need a batch.
///
/// Draws from `stream`; an augmentation that is not active draws nothing:
///
///     crop          row offset, column offset, each below(2 pad + 1)
///     rrc           up to ten times: share, logarithm of the ratio (uniform); if the part fits, row and column, each
///                   below(free pixels + 1), and no more attempts. If none fits, the largest centred part with a
///                   permitted ratio
///     flip          below(2): 1 mirrors
///     jitter        the order of the active ones (shuffled from brightness, contrast, saturation, hue), then for each
///                   in that order a uniform number: the position of f, or of the rotation, within its range
///     autoaugment   below(25) for the sub-policy; for each of its two operations a uniform number, less than its
///                   probability if it is applied, and below(2) for the sign: 1 is negative
///     randaugment   n times: below(14) for the operation, below(2) for the sign
///     cutout        row and column of the centre, below height and width
///
/// The operations of autoaugment and randaugment for a strength v in [0, 1] (a sub-policy's level / 9; m / 30), with
/// the ranges of the papers; the sign ± is drawn; pixels from outside the image are black:
///
///     shear x, y               by ±0.3 v pixels per row or column, from the upper left corner, to the nearest pixel
///     translate x, y           by ±150/331 v of the width or height, whole pixels (truncated), positive right and down
///     rotate                   by ±30 v degrees around the centre, positive anticlockwise, to the nearest pixel
///     brightness, color,       f x + (1 - f) r with f = 1 ± 0.9 v, rounded to nearest and clipped; r is black, the
///     contrast, sharpness      pixel's grey, the image's mean grey (rounded), the mean of the surrounding 3 x 3 pixels
///                              with the centre weighted five times (the border of the image is unchanged)
///     posterize                keeps the highest 8 - round(4 v) bits
///     solarize                 inverts values from 256 (1 - v)
///     autocontrast, equalize   stretches each channel to [0, 255]; flattens its histogram (as Pillow does)
///     invert (autoaugment only), identity (randaugment only)
///
/// Grey is (19595 R + 38470 G + 7471 B + 32768) >> 16 (ITU-R 601). The jitter's brightness, contrast and saturation are
/// brightness, contrast and color with their own f; its hue rotates the hue of 8-bit HSV by 256ths of the circle.
void augment(const Augmentation& augmentation, std::span<std::uint8_t> pixels, const ImageShape& shape, Stream stream);

/// Draws the rectangle that `rrc` cuts out of an image of height x width, with the draws described above.
CropBox random_crop(std::int64_t height, std::int64_t width, double smallest_share, Stream& stream);

/// The result of `mix`.
struct Mixing {
  double lambda = 1;                  ///< weight of the sample itself
  std::vector<std::int64_t> partner;  ///< [size], a permutation: the row of the batch with weight 1 - lambda
};

/// Mixes each sample of a batch, [size, pixels] normalised values, with another sample of the batch, by mixup or
/// cutmix, whichever is set. Draws from `stream`, in this order: lambda from the Beta distribution (alpha, alpha), the
/// permutation, and for cutmix row and column of a centre.
///
///     mixup    x[i] = lambda x[i] + (1 - lambda) x[partner[i]]
///     cutmix   copies a box from the partner: sqrt(1 - lambda) of each side (whole pixels, truncated) around the
///              centre, clipped at the border; lambda becomes the share of pixels outside the box
///
/// The loss of a sample is then lambda times the loss for its own label plus 1 - lambda times the loss for its
/// partner's.
Mixing mix(const Augmentation& augmentation, std::span<float> pixels, std::int64_t size, const ImageShape& shape,
           Stream stream);

}  // namespace ulmus
