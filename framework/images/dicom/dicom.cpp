#include "images/dicom/dicom.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmimage/diregist.h>  // registers colour models for DicomImage
#include <dcmtk/dcmimgle/dcmimage.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "images/dicom/attributes.hpp"
#include "images/dicom/codecs.hpp"
#include "images/dicom/codestream.hpp"
#include "images/image.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

using Notices = std::vector<std::string>;

std::uint32_t little_endian(std::span<const std::uint8_t> bytes, std::size_t at) {
    return bytes[at] | bytes[at + 1] << 8U | bytes[at + 2] << 16U |
           static_cast<std::uint32_t>(bytes[at + 3]) << 24U;
}

/// Whether the element that starts there names its value representation: two capital letters.
bool is_explicit(std::span<const std::uint8_t> bytes, std::size_t at) {
    const auto is_capital = [&](std::size_t i) {
        return i < bytes.size() && bytes[i] >= 'A' && bytes[i] <= 'Z';
    };
    return is_capital(at + 4) && is_capital(at + 5);
}

E_TransferSyntax stated_syntax(DcmMetaInfo& header) {
    const std::string uid = attribute_text(header, DCM_TransferSyntaxUID);
    return uid.empty() ? EXS_Unknown : DcmXfer(uid.c_str()).getXfer();
}

/// Compressed pixels in a data set that is implicit, against the standard, are of the syntax that the header
/// states.
void restate(DcmDataset& dataset, E_TransferSyntax stated) {
    DcmElement* element = nullptr;
    if (dataset.findAndGetElement(DCM_PixelData, element).bad()) return;
    auto* pixels = dynamic_cast<DcmPixelData*>(element);
    DcmPixelSequence* sequence = nullptr;
    if (pixels == nullptr ||
        pixels->getEncapsulatedRepresentation(EXS_LittleEndianImplicit, nullptr, sequence).bad())
        return;
    pixels->putOriginalRepresentation(stated, nullptr, new DcmPixelSequence(*sequence));
}

/// The header, then the data set by what it holds: some writers put implicit data behind a header that says
/// explicit, or the reverse.
OFCondition parse(std::span<const std::uint8_t> bytes, DcmFileFormat& file) {
    prepare_dcmtk();
    DcmInputBufferStream stream;
    stream.setBuffer(bytes.data(), static_cast<offile_off_t>(bytes.size()));
    stream.setEos();
    DcmMetaInfo& header = *file.getMetaInfo();
    header.transferInit();
    OFCondition status = header.read(stream, EXS_Unknown, EGL_noChange, DCM_MaxReadLength);
    header.transferEnd();
    if (status.bad()) return status;
    const E_TransferSyntax stated = stated_syntax(header);
    E_TransferSyntax syntax = stated;
    if (stated != EXS_Unknown && stated != EXS_DeflatedLittleEndianExplicit) {
        const bool explicit_data = is_explicit(bytes, static_cast<std::size_t>(stream.tell()));
        if (explicit_data != (DcmXfer(stated).isExplicitVR() != 0))
            syntax =
                explicit_data ? EXS_Unknown : EXS_LittleEndianImplicit;  // unknown: DCMTK looks at the bytes
    }
    DcmDataset& dataset = *file.getDataset();
    dataset.transferInit();
    status = dataset.read(stream, syntax, EGL_noChange, DCM_MaxReadLength);
    dataset.transferEnd();
    if (syntax == EXS_LittleEndianImplicit && DcmXfer(stated).isEncapsulated()) restate(dataset, stated);
    return status;
}

DcmPixelData* pixels_of(DcmDataset& dataset) {
    DcmElement* element = nullptr;
    dataset.findAndGetElement(DCM_PixelData, element);
    return dynamic_cast<DcmPixelData*>(element);
}

/// Of the pixels; the data set around them may be in another one (restate()).
E_TransferSyntax original_syntax(DcmDataset& dataset) {
    E_TransferSyntax syntax = dataset.getOriginalXfer();
    const DcmRepresentationParameter* parameter = nullptr;
    if (DcmPixelData* pixels = pixels_of(dataset)) pixels->getOriginalRepresentationKey(syntax, parameter);
    return syntax;
}

[[noreturn]] void refuse(ImageFault fault, const fs::path& file, const std::string& text) {
    throw ImageError(fault, file, text);
}

/// The words of the uncompressed pixels; two 8-bit pixels of OW share a word, the first in its low half, and 16
/// pixels of one bit, the first in the lowest.
std::vector<std::uint16_t> stored_words(DcmDataset& dataset, const PixelFormat& format, const fs::path& file) {
    DcmPixelData* pixels = pixels_of(dataset);
    const auto count = static_cast<std::size_t>(format.rows) * static_cast<std::size_t>(format.columns);
    std::vector<std::uint16_t> words(count);
    Uint8* bytes = nullptr;
    Uint16* pairs = nullptr;
    const auto allocated = static_cast<std::size_t>(format.allocated);
    const std::size_t mask = (std::size_t{1} << allocated) - 1;
    if (pixels != nullptr && static_cast<std::int64_t>(pixels->getLength()) >= format.bytes()) {
        if (allocated <= 8 && pixels->getUint8Array(bytes).good() && bytes != nullptr) {
            for (std::size_t i = 0; i < count; ++i)
                words[i] = static_cast<std::uint16_t>(bytes[i * allocated / 8] >> (i * allocated % 8) & mask);
            return words;
        }
        if (pixels->getUint16Array(pairs).good() && pairs != nullptr) {
            for (std::size_t i = 0; i < count; ++i)
                words[i] = static_cast<std::uint16_t>(pairs[i * allocated / 16] >> (i * allocated % 16) & mask);
            return words;
        }
    }
    refuse(ImageFault::undecodable, file, "DICOM: fewer pixels than Rows x Columns");
}

/// Where the value starts in a word: HighBit says so, but in some files it stands in the low bits all the same.
int lowest_bit(const std::vector<std::uint16_t>& words, const PixelFormat& format, Notices& notices) {
    const int shift = format.high - format.stored + 1;
    if (shift == 0) return 0;
    const unsigned below = (1U << shift) - 1, all_ones = 0xFFFFU >> (format.stored - 1);
    unsigned used = 0;
    for (const std::uint16_t word : words) {
        const unsigned upper = word >> format.stored;
        if (upper != 0 && !(format.is_signed && word >> (format.stored - 1) == static_cast<int>(all_ones)))
            return shift;
        used |= word & below;
    }
    if (used == 0) return shift;
    notices.push_back("HighBit " + std::to_string(format.high) + ", but the values stand in the low " +
                      std::to_string(format.stored) + " bits: read from there");
    return 0;
}

/// A window that leaves nothing to see is said.
void check_range(const std::vector<std::uint16_t>& table, int lowest, int low, int high, Notices& notices) {
    const auto [least, most] =
        std::minmax_element(table.begin() + (low - lowest), table.begin() + (high - lowest) + 1);
    if (low < high && *least == *most && (*most == 0 || *most == 65535))
        notices.push_back("its window or LUT shows all values, " + std::to_string(low) + " to " +
                          std::to_string(high) + ", " + (*most == 0 ? "black" : "white"));
}

cv::Mat show_grey(DcmDataset& dataset, const PixelFormat& format, std::vector<std::uint16_t> words,
                  Notices& notices) {
    // Each pixel becomes its place in the display table: its value less the lowest one.
    const int shift = lowest_bit(words, format, notices);
    const auto mask = static_cast<std::uint16_t>((1U << format.stored) - 1);
    const auto sign = static_cast<std::uint16_t>(format.is_signed ? 1U << (format.stored - 1) : 0);
    for (auto& word : words) word = static_cast<std::uint16_t>(((word >> shift) & mask) ^ sign);

    const DicomDisplay display = display_of(dataset, format, notices);
    const int lowest = lowest_stored(display);
    int low = lowest + mask, high = lowest;
    for (const std::uint16_t word : words) {
        const int stored = lowest + word;
        if (display.is_padding(stored)) continue;
        low = std::min(low, stored);
        high = std::max(high, stored);
    }
    if (low > high) low = high;  // nothing but padding
    const auto table = display_table(display, low, high);
    check_range(table, lowest, low, high, notices);
    cv::Mat shown(format.rows, format.columns, CV_16U);
    std::transform(words.begin(), words.end(), shown.begin<std::uint16_t>(),
                   [&](auto word) { return table[word]; });
    return shown;
}

void check_bits(const PixelFormat& format, const fs::path& file) {
    const bool known = (format.allocated == 1 || format.allocated == 8 || format.allocated == 16) &&
                       format.stored >= 1 && format.stored <= format.allocated &&
                       format.high < format.allocated && format.high >= format.stored - 1;
    if (!known)
        refuse(ImageFault::format, file,
               "DICOM with BitsAllocated " + std::to_string(format.allocated) + ", BitsStored " +
                   std::to_string(format.stored) + ", HighBit " + std::to_string(format.high) +
                   "; expected 1, 8 or 16 bits allocated that hold the stored ones");
}

cv::Mat decode_colour(DcmDataset& dataset, const PixelFormat& format, const fs::path& file) {
    DicomImage image(&dataset, dataset.getCurrentXfer());
    // The entries of a palette have 16 bits.
    const bool deep = attribute_text(dataset, DCM_PhotometricInterpretation) == "PALETTE COLOR";
    cv::Mat shown(format.rows, format.columns, deep ? CV_16UC3 : CV_8UC3);
    if (image.getStatus() != EIS_Normal ||
        image.getOutputData(shown.data, static_cast<unsigned long>(shown.total() * shown.elemSize()),
                            deep ? 16 : 8) == 0)
        refuse(ImageFault::undecodable, file,
               std::string("DICOM: ") + DicomImage::getString(image.getStatus()));
    cv::cvtColor(shown, shown, cv::COLOR_RGB2BGR);
    return shown;
}

cv::Mat show_jpeg2000(DcmDataset& dataset, PixelFormat format, std::span<const std::uint8_t> codestream,
                      const fs::path& file, Notices& notices) {
    const Jpeg2000Image image = decode_jpeg2000(codestream, file);
    if (image.pixels.size() != cv::Size(format.columns, format.rows))
        refuse(ImageFault::undecodable, file,
               "DICOM: its JPEG 2000 image has another size than its header says");
    const std::string photometric = attribute_text(dataset, DCM_PhotometricInterpretation);
    if (image.pixels.channels() == 3) {
        cv::Mat shown;
        image.pixels.convertTo(shown, CV_8U, 255 / (std::exp2(image.bits) - 1));
        if (!photometric.starts_with("YBR_FULL")) return shown;
        cv::Mat ordered(shown.size(), CV_8UC3);
        cv::mixChannels({shown}, {ordered}, {0, 1, 1, 2, 2, 0});  // Cr, Cb, Y to Y, Cr, Cb
        cv::cvtColor(ordered, shown, cv::COLOR_YCrCb2BGR);
        return shown;
    }
    if (photometric == "PALETTE COLOR")
        refuse(ImageFault::format, file,
               "DICOM with a palette and JPEG 2000; expected grey or RGB; convert it with: gdcmconv --raw");
    cv::Mat wide;
    image.pixels.convertTo(wide, CV_16U);
    std::vector<std::uint16_t> words(wide.begin<std::uint16_t>(), wide.end<std::uint16_t>());
    // The coded values are the stored ones, in the low bits whatever HighBit says, and of their own number of
    // bits.
    format.stored = std::max(format.stored, image.bits);
    if (format.is_signed) {
        const auto sign = static_cast<std::uint16_t>(1U << (image.bits - 1));
        for (auto& word : words) word = static_cast<std::uint16_t>((word ^ sign) - sign);
    }
    format.high = format.stored - 1;
    return show_grey(dataset, format, std::move(words), notices);
}

/// The coded image must be the one that the header describes: DCMTK goes by the header.
void check_codestream(std::span<const std::uint8_t> codestream, const CodestreamHeader& coded,
                      const PixelFormat& format, const fs::path& file) {
    const auto size = [](auto width, auto height) {
        return std::to_string(width) + " x " + std::to_string(height);
    };
    if (coded.width == 0 || codestream.empty()) return;  // RLE has no header
    if (coded.delimiter_at > 0)
        refuse(ImageFault::undecodable, file,
               "DICOM of " + size(format.columns, format.rows) +
                   " pixels whose JPEG 2000 image has a sequence delimiter (FE FF DD E0) at byte " +
                   std::to_string(coded.delimiter_at) +
                   " of its header, where its size was: what is left says no size; export it again");
    if (coded.width != format.columns || coded.height != format.rows)
        refuse(ImageFault::undecodable, file,
               "DICOM of " + size(format.columns, format.rows) + " pixels whose compressed image has " +
                   size(coded.width, coded.height) + "; expected the same size; export it again");
    if (!coded.complete && !coded.is_jpeg2000)
        refuse(ImageFault::truncated, file,
               "truncated: the JPEG image in the DICOM file has no end marker (EOI); export it again");
}

/// Writers put RGB where the JPEG itself says that it is YCbCr, or the reverse; DCMTK goes by the attribute.
void correct_colour(DcmDataset& dataset, const PixelFormat& format, std::span<const std::uint8_t> codestream) {
    const E_TransferSyntax syntax = codestream.empty() ? EXS_Unknown : original_syntax(dataset);
    if (format.samples != 3 || (syntax != EXS_JPEGProcess1 && syntax != EXS_JPEGProcess2_4)) return;
    const JpegColour colour = jpeg_colour(codestream);
    if (colour == JpegColour::unstated) return;
    dataset.putAndInsertString(DCM_PhotometricInterpretation,
                               colour == JpegColour::rgb ? "RGB" : "YBR_FULL_422");
}

void decompress(DcmDataset& dataset, const fs::path& file) {
    const DcmXfer stored(original_syntax(dataset));
    const OFCondition status = dataset.chooseRepresentation(EXS_LittleEndianExplicit, nullptr);
    if (status.good() && dataset.canWriteXfer(EXS_LittleEndianExplicit)) return;
    const bool foreign = status == EC_CannotChangeRepresentation || status == EC_RepresentationNotFound;
    if (status.good() || foreign || status == EC_UnsupportedEncoding)
        refuse(ImageFault::format, file,
               std::string("DICOM with the transfer syntax '") + stored.getXferName() +
                   "'; expected an uncompressed, JPEG, JPEG-LS, JPEG 2000 or RLE one; convert it with: "
                   "gdcmconv --raw");
    refuse(ImageFault::undecodable, file, std::string("DICOM: ") + status.text());
}

}  // namespace

bool is_dicom(std::span<const std::uint8_t> bytes) {
    constexpr std::string_view magic = "DICM";
    if (bytes.size() < 132) return false;
    if (std::equal(magic.begin(), magic.end(), bytes.begin() + 128)) return true;
    // A group length or an early element: group 2 or 8 in either byte order, then letters or a plausible
    // length.
    const bool little = (bytes[0] == 2 || bytes[0] == 8) && bytes[1] == 0 && bytes[3] == 0;
    const bool big = bytes[0] == 0 && bytes[1] == 8 && bytes[2] == 0;
    return is_explicit(bytes, 0) ? little || big : little && little_endian(bytes, 4) < bytes.size();
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
    } else if (!DcmXfer(original_syntax(dataset)).isEncapsulated()) {
        header.complete = header.complete && static_cast<std::int64_t>(pixels->getLength()) >= format.bytes();
    }
    return header;
}

cv::Mat decode_dicom(std::span<const std::uint8_t> bytes, const fs::path& path, Notices* notices) {
    DcmFileFormat file;
    const OFCondition status = parse(bytes, file);
    if (status.bad()) refuse(ImageFault::undecodable, path, std::string("DICOM: ") + status.text());
    DcmDataset& dataset = *file.getDataset();
    const PixelFormat before = pixel_format(dataset);
    if (before.frames > 1)
        refuse(ImageFault::format, path,
               "DICOM with " + std::to_string(before.frames) + " frames; expected one image");
    Notices ignored;
    Notices& said = notices == nullptr ? ignored : *notices;
    DcmPixelData* pixels = pixels_of(dataset);
    const auto codestream = pixels == nullptr ? std::vector<std::uint8_t>() : codestream_of(*pixels);
    const CodestreamHeader coded = read_codestream_header(codestream);
    check_codestream(codestream, coded, before, path);
    if (coded.is_jpeg2000) return show_jpeg2000(dataset, before, codestream, path, said);
    correct_colour(dataset, before, codestream);
    decompress(dataset, path);
    const PixelFormat format = pixel_format(dataset);  // decoders may change it
    if (format.samples != 1 || attribute_text(dataset, DCM_PhotometricInterpretation) == "PALETTE COLOR")
        return decode_colour(dataset, format, path);
    check_bits(format, path);
    return show_grey(dataset, format, stored_words(dataset, format, path), said);
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

}  // namespace hearth::images
