// Reads and writes segmentation masks: run-length texts as data sets distribute them, mask files, and the cells
// of a manifest's column `mask`. A mask is CV_8U, one channel, 0 outside and 255 inside.
#pragma once

#include <filesystem>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "images/image.hpp"

namespace hearth::images {

/// How runs of pixels are written. Pixels are counted down the columns: pixel k is in row k % height and in
/// column k / height.
enum class RleKind {
    relative,  ///< pairs "skip length": pixels to skip since the end of the last run (SIIM-ACR 2019)
    absolute,  ///< pairs "start length", the first pixel of the image being 1 (most Kaggle competitions)
    counts,    ///< lengths of outside, inside, outside, ... runs that fill the image (COCO, uncompressed)
};

/// "-1" and a blank text are an empty mask. Throws DataError that says which number is wrong: not a whole
/// number, an unpaired start, a run of no pixels, a run that leaves the image, counts that do not add up to the
/// image.
cv::Mat decode_rle(std::string_view rle, RleKind kind, cv::Size size);

/// The inverse; pixels above 0 are inside. An empty mask is "-1" (as `counts`: one number).
std::string encode_rle(const cv::Mat& mask, RleKind kind);

/// A PNG of any depth and number of channels; pixels with a value above 0 in any channel but alpha are inside.
/// Where the colour is the same everywhere and only alpha varies, those with an alpha above 0 are. Throws
/// ImageError; JPEG is refused, as its edges are smeared.
cv::Mat read_mask_file(const std::filesystem::path& file);

/// A cell of the column `mask`:
///     masks/0001.png                        a file; relative paths start at `folder`
///     rle:relative:1024x1024:557374 2 1015  a run-length text, and width x height of the image it belongs to
///     none                                  nothing is marked on this image: all 0, of the size `image`
/// A blank cell is not known: nothing is returned. The mask has the stored size, which may differ from `image`.
/// Throws DataError or ImageError.
std::optional<cv::Mat> read_mask(const std::string& cell, const std::filesystem::path& folder, cv::Size image);

/// Throws DataError unless the mask has the image's shape: the same ratio of width and height, to within a
/// pixel.
void check_mask_shape(cv::Size mask, cv::Size image);

/// The cell for a mask: "none" when it is empty, else "rle:relative:WxH:...".
std::string mask_cell(const cv::Mat& mask);

/// Resizes as resize_square() resizes the image: a pixel is inside when at least half of what it covers is.
cv::Mat resize_mask(const cv::Mat& mask, int size, Aspect aspect);

}  // namespace hearth::images
