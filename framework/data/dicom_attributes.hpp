// What the attributes of a DICOM data set say about its pixels. For data/dicom.cpp, as it shows DCMTK.
#pragma once

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "data/dicom_display.hpp"

namespace hearth::data {

/// The attributes that say how the pixels are stored (C.7.6.3).
struct PixelFormat {
    int rows = 0, columns = 0, samples = 1, allocated = 0, stored = 0, high = 0;
    bool is_signed = false;
    std::int64_t frames = 1;

    /// Of all pixels, uncompressed.
    std::int64_t bytes() const {
        return static_cast<std::int64_t>(rows) * columns * samples * frames * std::max(1, allocated / 8);
    }
};

PixelFormat pixel_format(DcmItem& item);

/// The text of an attribute without blanks around it; empty when there is none.
std::string attribute_text(DcmItem& item, const DcmTagKey& tag);

/// LUTs, rescale, window and polarity.
DicomDisplay display_of(DcmItem& dataset, const PixelFormat& format);

}  // namespace hearth::data
