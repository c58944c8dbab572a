#include "images/dicom/attributes.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <optional>

namespace hearth::images {
namespace {

int number(DcmItem& item, const DcmTagKey& tag, int otherwise) {
    Uint16 value = 0;
    return item.findAndGetUint16(tag, value).good() ? value : otherwise;
}

double decimal(DcmItem& item, const DcmTagKey& tag, double otherwise) {
    Float64 value = 0;
    return item.findAndGetFloat64(tag, value).good() ? value : otherwise;
}

/// As it is written, for a notice.
std::string shortest(double value) {
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

/// Some writers put the bits of a word where those of an entry belong: 16 for a table of 12 bits, which would
/// be shown almost black.
void correct_bits(DicomLut& lut, std::vector<std::string>& notices) {
    const unsigned most = *std::max_element(lut.entries.begin(), lut.entries.end());
    const int needed = std::bit_width(most);
    if (lut.bits != 16 || needed > 12 || needed == 0) return;
    notices.push_back("a LUT says 16 bits, and its entries end at " + std::to_string(most) + ": taken as " +
                      std::to_string(needed) + " bits");
    lut.bits = needed;
}

void read_rescale(DcmItem& dataset, DicomDisplay& display, std::vector<std::string>& notices) {
    display.slope = decimal(dataset, DCM_RescaleSlope, 1);
    display.intercept = decimal(dataset, DCM_RescaleIntercept, 0);
    if (display.modality_lut ||
        (std::isfinite(display.slope) && display.slope != 0 && std::isfinite(display.intercept)))
        return;
    notices.push_back("RescaleSlope " + shortest(display.slope) + " and RescaleIntercept " +
                      shortest(display.intercept) + " are ignored");
    display.slope = 1;
    display.intercept = 0;
}

std::optional<DicomWindow> read_window(DcmItem& dataset, std::vector<std::string>& notices) {
    const double width = decimal(dataset, DCM_WindowWidth, 0);
    const double center = decimal(dataset, DCM_WindowCenter, std::nan(""));
    if (!std::isfinite(center) || !std::isfinite(width) || width <= 0) {
        const std::string written = attribute_text(dataset, DCM_WindowWidth);
        const std::string middle = attribute_text(dataset, DCM_WindowCenter);
        if (!written.empty() || !middle.empty())
            notices.push_back("WindowCenter " + (middle.empty() ? "none" : middle) + " and WindowWidth " +
                              (written.empty() ? "none" : written) +
                              " are ignored: expected a center, and a width above 0");
        return std::nullopt;
    }
    const std::string shape = attribute_text(dataset, DCM_VOILUTFunction);
    DicomWindow window{center, width,
                       shape == "SIGMOID"        ? WindowShape::sigmoid
                       : shape == "LINEAR_EXACT" ? WindowShape::linear_exact
                                                 : WindowShape::linear};
    if (window.shape == WindowShape::linear && width < 1) {
        notices.push_back("WindowWidth " + shortest(width) + " is below 1: shown as LINEAR_EXACT");
        window.shape = WindowShape::linear_exact;
    }
    return window;
}

bool read_polarity(DcmItem& dataset, std::vector<std::string>& notices) {
    const std::string photometric = attribute_text(dataset, DCM_PhotometricInterpretation);
    const std::string shape = attribute_text(dataset, DCM_PresentationLUTShape);
    const bool inverted = photometric == "MONOCHROME1";
    if (shape != (inverted ? "IDENTITY" : "INVERSE")) return inverted;
    notices.push_back(photometric + " with PresentationLUTShape " + shape + ": the shape is followed");
    return !inverted;
}

std::optional<std::pair<int, int>> read_padding(DcmItem& dataset, bool is_signed) {
    const auto value = [&](const DcmTagKey& tag) -> std::optional<int> {
        Uint16 plain = 0;
        Sint16 negative = 0;
        if (dataset.findAndGetUint16(tag, plain).good())
            return is_signed ? static_cast<std::int16_t>(plain) : static_cast<int>(plain);
        if (dataset.findAndGetSint16(tag, negative).good())
            return is_signed ? static_cast<int>(negative) : static_cast<std::uint16_t>(negative);
        return std::nullopt;
    };
    const auto first = value(DCM_PixelPaddingValue);
    if (!first) return std::nullopt;
    return std::minmax(*first, value(DCM_PixelPaddingRangeLimit).value_or(*first));
}

std::optional<DicomLut> lookup_table(DcmItem& dataset, const DcmTagKey& sequence, bool is_signed) {
    DcmItem* item = nullptr;
    if (dataset.findAndGetSequenceItem(sequence, item).bad()) return std::nullopt;
    const auto descriptor = [item](unsigned long place) -> std::optional<int> {
        Uint16 plain = 0;
        Sint16 negative = 0;
        if (item->findAndGetUint16(DCM_LUTDescriptor, plain, place).good()) return plain;
        if (item->findAndGetSint16(DCM_LUTDescriptor, negative, place).good()) return negative;
        return std::nullopt;
    };
    const auto count = descriptor(0), first = descriptor(1), bits = descriptor(2);
    const Uint16* words = nullptr;
    unsigned long found = 0;
    if (!count || !first || !bits || *bits < 1 || *bits > 16 ||
        item->findAndGetUint16Array(DCM_LUTData, words, &found).bad() || words == nullptr)
        return std::nullopt;
    const auto expected = *count == 0 ? 65536U : static_cast<unsigned>(static_cast<std::uint16_t>(*count));
    DicomLut lut{is_signed ? static_cast<std::int16_t>(*first) : *first, *bits, {}};
    if (found >= expected) {
        lut.entries.assign(words, words + expected);
    } else if (*bits <= 8 && 2 * found >= expected) {  // two entries a word
        for (unsigned i = 0; i < expected; ++i) {
            lut.entries.push_back(
                static_cast<std::uint16_t>(i % 2 == 0 ? words[i / 2] & 0xFF : words[i / 2] >> 8));
        }
    } else {
        return std::nullopt;
    }
    return lut;
}

}  // namespace

std::string attribute_text(DcmItem& item, const DcmTagKey& tag) {
    OFString value;
    item.findAndGetOFString(tag, value);
    std::string found = value.c_str();
    found.erase(0, std::min(found.find_first_not_of(' '), found.size()));
    found.erase(found.find_last_not_of(' ') + 1);
    return found;
}

PixelFormat pixel_format(DcmItem& item) {
    PixelFormat format;
    format.rows = number(item, DCM_Rows, 0);
    format.columns = number(item, DCM_Columns, 0);
    format.samples = number(item, DCM_SamplesPerPixel, 1);
    format.allocated = number(item, DCM_BitsAllocated, 0);
    format.stored = number(item, DCM_BitsStored, format.allocated);
    format.high = number(item, DCM_HighBit, format.stored - 1);
    format.is_signed = number(item, DCM_PixelRepresentation, 0) == 1;
    format.halved_colour = attribute_text(item, DCM_PhotometricInterpretation) == "YBR_FULL_422";
    Sint32 frames = 1;
    if (item.findAndGetSint32(DCM_NumberOfFrames, frames).good()) format.frames = std::max<Sint32>(frames, 1);
    return format;
}

DicomDisplay display_of(DcmItem& dataset, const PixelFormat& format, std::vector<std::string>& notices) {
    DicomDisplay display{format.stored, format.is_signed, 1, 0, {}, {}, {}, false, {}};
    display.modality_lut = lookup_table(dataset, DCM_ModalityLUTSequence, format.is_signed);
    read_rescale(dataset, display, notices);
    display.voi_lut = lookup_table(dataset, DCM_VOILUTSequence, format.is_signed);
    if (display.voi_lut) correct_bits(*display.voi_lut, notices);
    display.window = read_window(dataset, notices);
    display.inverted = read_polarity(dataset, notices);
    display.padding = read_padding(dataset, format.is_signed);
    return display;
}

}  // namespace hearth::images
