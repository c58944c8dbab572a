#include "data/dicom_attributes.hpp"

#include <optional>

namespace hearth::data {
namespace {

int number(DcmItem& item, const DcmTagKey& tag, int otherwise) {
    Uint16 value = 0;
    return item.findAndGetUint16(tag, value).good() ? value : otherwise;
}

double decimal(DcmItem& item, const DcmTagKey& tag, double otherwise) {
    Float64 value = 0;
    return item.findAndGetFloat64(tag, value).good() ? value : otherwise;
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
    Sint32 frames = 1;
    if (item.findAndGetSint32(DCM_NumberOfFrames, frames).good()) format.frames = std::max<Sint32>(frames, 1);
    return format;
}

DicomDisplay display_of(DcmItem& dataset, const PixelFormat& format) {
    DicomDisplay display{format.stored, format.is_signed, 1, 0, {}, {}, {}, false};
    display.slope = decimal(dataset, DCM_RescaleSlope, 1);
    display.intercept = decimal(dataset, DCM_RescaleIntercept, 0);
    display.modality_lut = lookup_table(dataset, DCM_ModalityLUTSequence, format.is_signed);
    display.voi_lut = lookup_table(dataset, DCM_VOILUTSequence, format.is_signed);
    const double width = decimal(dataset, DCM_WindowWidth, 0);
    Float64 center = 0;
    if (width > 0 && dataset.findAndGetFloat64(DCM_WindowCenter, center).good()) {
        const std::string shape = attribute_text(dataset, DCM_VOILUTFunction);
        display.window = DicomWindow{center, width,
                                     shape == "SIGMOID"        ? WindowShape::sigmoid
                                     : shape == "LINEAR_EXACT" ? WindowShape::linear_exact
                                                               : WindowShape::linear};
    }
    display.inverted = attribute_text(dataset, DCM_PhotometricInterpretation) == "MONOCHROME1";
    return display;
}

}  // namespace hearth::data
