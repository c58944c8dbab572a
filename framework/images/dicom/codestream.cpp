#include "images/dicom/codestream.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <string_view>

#include "images/codec_lines.hpp"
#include "images/image.hpp"
#include "images/image_header.hpp"

namespace hearth::images {
namespace {

using Bytes = std::span<const std::uint8_t>;

// Places in a JPEG 2000 codestream, from its start: SOC, then the segment SIZ (A.5.1).
constexpr std::size_t size_at = 8, offset_at = 16, components_at = 40, first_depth_at = 42, depth_step = 3;

std::uint32_t big_endian(Bytes bytes, std::size_t at, std::size_t count) {
    std::uint32_t value = 0;
    for (const std::uint8_t byte : bytes.subspan(at, count)) value = value << 8 | byte;
    return value;
}

/// The codestream of a JP2 file, or the codestream itself; empty where there is none.
Bytes jpeg2000_codestream(Bytes bytes) {
    constexpr std::array<std::uint8_t, 4> start = {0xFF, 0x4F, 0xFF, 0x51};
    const auto at = std::search(bytes.begin(), bytes.end(), start.begin(), start.end());
    const Bytes found = bytes.subspan(static_cast<std::size_t>(at - bytes.begin()));
    return found.size() < first_depth_at + depth_step ? Bytes() : found;
}

/// Where the bytes of DICOM's item "sequence delimiter" are among those that say the size; 0: nowhere.
std::size_t delimiter_in_header(Bytes codestream) {
    constexpr std::array<std::uint8_t, 4> delimiter = {0xFE, 0xFF, 0xDD, 0xE0};
    const Bytes header = codestream.first(first_depth_at);
    const auto at = std::search(header.begin(), header.end(), delimiter.begin(), delimiter.end());
    return at == header.end() ? 0 : static_cast<std::size_t>(at - header.begin());
}

bool has_end_marker(Bytes codestream) {
    std::size_t end = codestream.size();
    while (end > 0 && codestream[end - 1] == 0) --end;  // padding to an even length
    return end >= 2 && codestream[end - 2] == 0xFF && codestream[end - 1] == 0xD9;
}

void append(std::vector<std::uint8_t>& out, std::uint32_t value, int bytes = 4) {
    for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(value >> 8 * i));
}

void append_text(std::vector<std::uint8_t>& out, std::string_view text) {
    out.insert(out.end(), text.begin(), text.end());
}

/// A JP2 file around the codestream (annex I), which tells OpenCV the colour space.
std::vector<std::uint8_t> jp2_file(Bytes codestream, std::uint32_t components, std::uint8_t depth) {
    constexpr std::uint32_t srgb = 16, grey = 17;
    std::vector<std::uint8_t> out;
    append(out, 12);
    append_text(out, "jP  \r\n\x87\n");
    append(out, 20);
    append_text(out, std::string_view("ftypjp2 \0\0\0\0jp2 ", 16));
    append(out, 45);
    append_text(out, "jp2h");
    append(out, 22);
    append_text(out, "ihdr");
    append(out, big_endian(codestream, size_at + 4, 4) - big_endian(codestream, offset_at + 4, 4));
    append(out, big_endian(codestream, size_at, 4) - big_endian(codestream, offset_at, 4));
    append(out, components, 2);
    append(out, depth, 1);
    append(out, 0x070000, 3);  // compressed, colour space known, no intellectual property
    append(out, 15);
    append_text(out, "colr");
    append(out, 0x010000, 3);
    append(out, components == 1 ? grey : srgb);
    append(out, 0);  // up to the end of the file
    append_text(out, "jp2c");
    out.insert(out.end(), codestream.begin(), codestream.end());
    return out;
}

}  // namespace

std::vector<std::uint8_t> codestream_of(DcmPixelData& pixels) {
    E_TransferSyntax syntax = EXS_Unknown;
    const DcmRepresentationParameter* parameter = nullptr;
    DcmPixelSequence* sequence = nullptr;
    pixels.getOriginalRepresentationKey(syntax, parameter);
    std::vector<std::uint8_t> joined;
    if (pixels.getEncapsulatedRepresentation(syntax, parameter, sequence).bad() || sequence == nullptr)
        return joined;
    for (unsigned long i = 1; i < sequence->card(); ++i) {  // the first item is the offset table
        DcmPixelItem* item = nullptr;
        Uint8* bytes = nullptr;
        if (sequence->getItem(item, i).bad() || item->getUint8Array(bytes).bad() || bytes == nullptr) continue;
        joined.insert(joined.end(), bytes, bytes + item->getLength());
    }
    return joined;
}

CodestreamHeader read_codestream_header(Bytes bytes) {
    const ImageHeader jpeg = read_image_header(bytes);
    if (jpeg.format == ImageFormat::jpeg) return {jpeg.width, jpeg.height, jpeg.complete, false, 0};
    const Bytes codestream = jpeg2000_codestream(bytes);
    if (codestream.empty()) return {};
    return {std::int64_t{big_endian(codestream, size_at, 4)} - big_endian(codestream, offset_at, 4),
            std::int64_t{big_endian(codestream, size_at + 4, 4)} - big_endian(codestream, offset_at + 4, 4),
            has_end_marker(codestream), true, delimiter_in_header(codestream)};
}

JpegColour jpeg_colour(Bytes bytes) {
    constexpr std::uint8_t jfif_marker = 0xE0, adobe_marker = 0xEE, scan_marker = 0xDA;
    constexpr std::size_t adobe_transform_at = 15;
    const auto has = [&](std::size_t at, std::string_view text) {
        return at + text.size() <= bytes.size() &&
               std::equal(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    };
    for (std::size_t at = 2; at + 4 <= bytes.size() && bytes[at] == 0xFF && bytes[at + 1] != scan_marker;) {
        const std::size_t length = big_endian(bytes, at + 2, 2);
        if (bytes[at + 1] == jfif_marker && has(at + 4, "JFIF")) return JpegColour::ycc;
        if (bytes[at + 1] == adobe_marker && has(at + 4, "Adobe") && length >= 14 &&
            at + adobe_transform_at < bytes.size())
            return bytes[at + adobe_transform_at] == 0 ? JpegColour::rgb : JpegColour::ycc;
        at += 2 + length;
    }
    return JpegColour::unstated;
}

Jpeg2000Image decode_jpeg2000(Bytes bytes, const std::filesystem::path& file) {
    const Bytes found = jpeg2000_codestream(bytes);
    if (found.empty())
        throw ImageError(ImageFault::undecodable, file, "DICOM: no JPEG 2000 codestream in its pixels");
    std::vector<std::uint8_t> codestream(found.begin(), found.end());
    const std::uint32_t components = big_endian(codestream, components_at, 2);
    const std::uint8_t depth = codestream[first_depth_at] & 0x7F;
    const int bits = depth + 1;
    if (bits < 8 || bits > 16 || (components != 1 && components != 3))
        throw ImageError(ImageFault::format, file,
                         "DICOM with a JPEG 2000 image of " + std::to_string(components) + " components of " +
                             std::to_string(bits) +
                             " bits; expected 1 or 3 of 8 to 16; convert it with: gdcmconv --raw");
    // Decoded as unsigned, a signed image comes out raised by half its range (G.1.2), which OpenCV can hold.
    const bool is_signed = (codestream[first_depth_at] & 0x80) != 0;
    for (std::size_t i = 0; i < components && first_depth_at + depth_step * i < codestream.size(); ++i)
        codestream[first_depth_at + depth_step * i] &= 0x7F;

    cv::Mat pixels;
    std::string said;
    {
        const CodecLines lines;
        try {
            pixels = cv::imdecode(jp2_file(codestream, components, depth), cv::IMREAD_UNCHANGED);
        } catch (const cv::Exception& error) {
            said = error.err;
        }
        if (said.empty()) said = lines.first();
    }
    if (pixels.empty() || pixels.channels() != static_cast<int>(components))
        throw has_end_marker(codestream)
            ? ImageError(
                  ImageFault::undecodable, file,
                  "DICOM: its JPEG 2000 image cannot be decoded" + (said.empty() ? "" : " (" + said + ")"))
            : ImageError(ImageFault::truncated, file,
                         "truncated: the JPEG 2000 image in the DICOM file breaks off; export it again");
    if (is_signed) {
        const double half = std::exp2(bits - 1);
        cv::bitwise_xor(pixels, cv::Scalar::all(half), pixels);
    }
    return {pixels, bits};
}

}  // namespace hearth::images
