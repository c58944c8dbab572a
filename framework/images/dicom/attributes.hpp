// Reads what the attributes of a DICOM data set say about its pixels. It is for dicom.cpp alone, as it shows
// DCMTK.
#pragma once

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "images/dicom/display.hpp"

namespace hearth::images {

/// The attributes that say how the pixels are stored (C.7.6.3).
struct PixelFormat {
    int rows = 0, columns = 0, samples = 1, allocated = 0, stored = 0, high = 0;
    bool is_signed = false;
    std::int64_t frames = 1;

    bool halved_colour = false;  ///< YBR_FULL_422: two pixels share their colour

    /// Of all pixels, uncompressed.
    std::int64_t bytes() const {
        const auto values = static_cast<std::int64_t>(rows) * columns * frames * (halved_colour ? 2 : samples);
        return (values * allocated + 7) / 8;
    }
};

PixelFormat pixel_format(DcmItem& item);

/// The text of an attribute without blanks around it; empty when there is none.
std::string attribute_text(DcmItem& item, const DcmTagKey& tag);

/// LUTs, rescale, window, polarity and padding. What cannot be meant as it is written is put right, and
/// `notices` says so.
DicomDisplay display_of(DcmItem& dataset, const PixelFormat& format, std::vector<std::string>& notices);

}  // namespace hearth::images
