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

#include "data/dicom_attributes.hpp"
#include "data/dicom_codecs.hpp"
#include "data/image.hpp"

namespace hearth::data {
namespace fs = std::filesystem;
namespace {

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
    const bool gray =
        format.samples == 1 && attribute_text(dataset, DCM_PhotometricInterpretation) != "PALETTE COLOR";
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
                   attribute_text(dataset, DCM_PatientID),
                   attribute_text(dataset, DCM_ViewPosition),
                   attribute_text(dataset, DCM_PatientSex),
                   ""};
    const std::string age = attribute_text(dataset, DCM_PatientAge);  // 058Y, 003M, and years alone in the wild
    int years = 0;
    const auto [end, failed] = std::from_chars(age.data(), age.data() + age.size(), years);
    if (failed == std::errc()) info.age = std::to_string(*end == 'Y' || *end == '\0' ? years : 0);
    return info;
}

}  // namespace hearth::data
