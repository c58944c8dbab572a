#include "data/dicom.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmimage/diregist.h>  // registers colour models for DicomImage
#include <dcmtk/dcmimgle/dcmimage.h>

#include <algorithm>
#include <charconv>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "data/dicom_codecs.hpp"
#include "data/dicom_display.hpp"
#include "data/image.hpp"

namespace hearth::data {
namespace fs = std::filesystem;
namespace {

/// The attributes that say how the pixels are stored (C.7.6.3).
struct PixelFormat {
    int rows = 0, columns = 0, samples = 1, allocated = 0, stored = 0, high = 0;
    bool is_signed = false;
    std::int64_t frames = 1;

    std::int64_t bytes() const {
        return static_cast<std::int64_t>(rows) * columns * samples * frames * std::max(1, allocated / 8);
    }
};

OFCondition parse(std::span<const std::uint8_t> bytes, DcmFileFormat& file) {
    prepare_dcmtk();
    DcmInputBufferStream stream;
    stream.setBuffer(bytes.data(), static_cast<offile_off_t>(bytes.size()));
    stream.setEos();
    file.transferInit();
    const OFCondition status = file.read(stream, EXS_Unknown, EGL_noChange, DCM_MaxReadLength);
    file.transferEnd();
    return status;
}

int number(DcmItem& item, const DcmTagKey& tag, int otherwise) {
    Uint16 value = 0;
    return item.findAndGetUint16(tag, value).good() ? value : otherwise;
}

double decimal(DcmItem& item, const DcmTagKey& tag, double otherwise) {
    Float64 value = 0;
    return item.findAndGetFloat64(tag, value).good() ? value : otherwise;
}

/// Without blanks around it.
std::string text(DcmItem& item, const DcmTagKey& tag) {
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

DicomDisplay display_of(DcmItem& dataset, const PixelFormat& format) {
    DicomDisplay display{format.stored, format.is_signed, 1, 0, {}, {}, {}, false};
    display.slope = decimal(dataset, DCM_RescaleSlope, 1);
    display.intercept = decimal(dataset, DCM_RescaleIntercept, 0);
    display.modality_lut = lookup_table(dataset, DCM_ModalityLUTSequence, format.is_signed);
    display.voi_lut = lookup_table(dataset, DCM_VOILUTSequence, format.is_signed);
    const double width = decimal(dataset, DCM_WindowWidth, 0);
    Float64 center = 0;
    if (width > 0 && dataset.findAndGetFloat64(DCM_WindowCenter, center).good()) {
        const std::string shape = text(dataset, DCM_VOILUTFunction);
        display.window = DicomWindow{center, width,
                                     shape == "SIGMOID"        ? WindowShape::sigmoid
                                     : shape == "LINEAR_EXACT" ? WindowShape::linear_exact
                                                               : WindowShape::linear};
    }
    display.inverted = text(dataset, DCM_PhotometricInterpretation) == "MONOCHROME1";
    return display;
}

/// The words of the uncompressed pixels; two 8-bit pixels of OW share a word, the first in its low half.
std::vector<std::uint16_t> stored_words(DcmDataset& dataset, const PixelFormat& format, const fs::path& file) {
    DcmElement* element = nullptr;
    dataset.findAndGetElement(DCM_PixelData, element);
    const auto count = static_cast<std::size_t>(format.rows) * static_cast<std::size_t>(format.columns);
    std::vector<std::uint16_t> words(count);
    Uint8* bytes = nullptr;
    Uint16* pairs = nullptr;
    const bool wide = format.allocated == 16;
    if (element != nullptr && element->getLength() >= count * (wide ? 2 : 1)) {
        if (!wide && element->getUint8Array(bytes).good() && bytes != nullptr) {
            std::copy_n(bytes, count, words.begin());
            return words;
        }
        if (element->getUint16Array(pairs).good() && pairs != nullptr) {
            for (std::size_t i = 0; i < count; ++i)
                words[i] = wide ? pairs[i] : static_cast<std::uint16_t>(pairs[i / 2] >> (i % 2 * 8) & 0xFF);
            return words;
        }
    }
    throw ImageError(ImageFault::undecodable, file, "DICOM: fewer pixels than Rows x Columns");
}

cv::Mat decode_gray(DcmDataset& dataset, const PixelFormat& format, const fs::path& file) {
    const bool known = (format.allocated == 8 || format.allocated == 16) && format.stored >= 1 &&
                       format.stored <= format.allocated && format.high < format.allocated &&
                       format.high >= format.stored - 1;
    if (!known)
        throw ImageError(ImageFault::format, file,
                         "DICOM with BitsAllocated " + std::to_string(format.allocated) + ", BitsStored " +
                             std::to_string(format.stored) + ", HighBit " + std::to_string(format.high) +
                             "; expected 8 or 16 bits allocated that hold the stored ones");
    auto words = stored_words(dataset, format, file);
    // Each pixel becomes its place in the display table: its value less the lowest one.
    const int shift = format.high - format.stored + 1;
    const auto mask = static_cast<std::uint16_t>((1U << format.stored) - 1);
    const auto sign = static_cast<std::uint16_t>(format.is_signed ? 1U << (format.stored - 1) : 0);
    for (auto& word : words) word = static_cast<std::uint16_t>(((word >> shift) & mask) ^ sign);

    const DicomDisplay display = display_of(dataset, format);
    const auto [low, high] = std::minmax_element(words.begin(), words.end());
    const auto table = display_table(display, lowest_stored(display) + *low, lowest_stored(display) + *high);
    cv::Mat shown(format.rows, format.columns, CV_16U);
    std::transform(words.begin(), words.end(), shown.begin<std::uint16_t>(),
                   [&](auto word) { return table[word]; });
    return shown;
}

cv::Mat decode_colour(DcmDataset& dataset, const PixelFormat& format, const fs::path& file) {
    DicomImage image(&dataset, dataset.getCurrentXfer());
    cv::Mat shown(format.rows, format.columns, CV_8UC3);
    if (image.getStatus() != EIS_Normal ||
        image.getOutputData(shown.data, static_cast<unsigned long>(shown.total() * shown.elemSize()), 8) == 0)
        throw ImageError(ImageFault::undecodable, file,
                         std::string("DICOM: ") + DicomImage::getString(image.getStatus()));
    cv::cvtColor(shown, shown, cv::COLOR_RGB2BGR);
    return shown;
}

void decompress(DcmDataset& dataset, const fs::path& file) {
    const DcmXfer stored(dataset.getOriginalXfer());
    const OFCondition status = dataset.chooseRepresentation(EXS_LittleEndianExplicit, nullptr);
    if (status.good() && dataset.canWriteXfer(EXS_LittleEndianExplicit)) return;
    const bool foreign = status == EC_CannotChangeRepresentation || status == EC_RepresentationNotFound;
    if (status.good() || foreign || status == EC_UnsupportedEncoding)
        throw ImageError(
            ImageFault::format, file,
            std::string("DICOM with the transfer syntax '") + stored.getXferName() +
                "'; expected an uncompressed, JPEG, JPEG-LS or RLE one; convert it with: gdcmconv --raw");
    throw ImageError(ImageFault::undecodable, file, std::string("DICOM: ") + status.text());
}

}  // namespace

bool is_dicom(std::span<const std::uint8_t> bytes) {
    constexpr std::string_view magic = "DICM";
    return bytes.size() >= 132 && std::equal(magic.begin(), magic.end(), bytes.begin() + 128);
}

ImageHeader read_dicom_header(std::span<const std::uint8_t> bytes) {
    DcmFileFormat file;
    const OFCondition status = parse(bytes, file);
    DcmDataset& dataset = *file.getDataset();
    const PixelFormat format = pixel_format(dataset);
    ImageHeader header{ImageFormat::dicom, format.columns, format.rows, format.stored, status.good()};
    DcmElement* pixels = nullptr;
    if (dataset.findAndGetElement(DCM_PixelData, pixels).bad()) {
        if (header.complete) header.width = header.height = 0;  // a report, a DICOMDIR: no image
    } else if (!DcmXfer(dataset.getOriginalXfer()).isEncapsulated()) {
        header.complete = header.complete && static_cast<std::int64_t>(pixels->getLength()) >= format.bytes();
    }
    return header;
}

cv::Mat decode_dicom(std::span<const std::uint8_t> bytes, const fs::path& path) {
    DcmFileFormat file;
    const OFCondition status = parse(bytes, file);
    if (status.bad()) throw ImageError(ImageFault::undecodable, path, std::string("DICOM: ") + status.text());
    DcmDataset& dataset = *file.getDataset();
    const PixelFormat before = pixel_format(dataset);
    if (before.frames > 1)
        throw ImageError(ImageFault::format, path,
                         "DICOM with " + std::to_string(before.frames) + " frames; expected one image");
    decompress(dataset, path);
    const PixelFormat format = pixel_format(dataset);  // decoders may change it
    const bool gray = format.samples == 1 && text(dataset, DCM_PhotometricInterpretation) != "PALETTE COLOR";
    return gray ? decode_gray(dataset, format, path) : decode_colour(dataset, format, path);
}

DicomInfo read_dicom_info(const fs::path& path) {
    prepare_dcmtk();
    std::error_code error;
    if (!fs::is_regular_file(path, error)) throw ImageError(ImageFault::missing, path, "not found");
    DcmFileFormat file;
    const OFCondition status = file.loadFileUntilTag(path.c_str(), EXS_Unknown, EGL_noChange, DCM_MaxReadLength,
                                                     ERM_fileOnly, DCM_PixelData);
    if (status.bad())
        throw ImageError(ImageFault::undecodable, path, std::string("expected a DICOM file: ") + status.text());
    DcmDataset& dataset = *file.getDataset();
    const PixelFormat format = pixel_format(dataset);
    DicomInfo info{format.columns,
                   format.rows,
                   text(dataset, DCM_PatientID),
                   text(dataset, DCM_ViewPosition),
                   text(dataset, DCM_PatientSex),
                   ""};
    const std::string age = text(dataset, DCM_PatientAge);  // 058Y, 003M, and years alone in the wild
    int years = 0;
    const auto [end, failed] = std::from_chars(age.data(), age.data() + age.size(), years);
    if (failed == std::errc()) info.age = std::to_string(*end == 'Y' || *end == '\0' ? years : 0);
    return info;
}

}  // namespace hearth::data
