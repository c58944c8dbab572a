#include "images/image_header.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "images/dicom/dicom.hpp"
#include "images/tiff_header.hpp"

namespace hearth::images {
namespace {

using Bytes = std::span<const std::uint8_t>;

std::int64_t big_endian(Bytes bytes, std::size_t at, int count) {
    std::int64_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | bytes[at + static_cast<std::size_t>(i)];
    return value;
}

bool has(Bytes bytes, std::size_t at, std::string_view magic) {
    return bytes.size() >= at + magic.size() &&
           std::equal(magic.begin(), magic.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
                      [](char c, std::uint8_t b) { return static_cast<std::uint8_t>(c) == b; });
}

ImageHeader read_png(Bytes bytes) {
    ImageHeader header{ImageFormat::png, 0, 0, 0, false};
    std::size_t at = 8;  // after the signature: length, type, data, checksum
    while (!header.complete && at + 12 <= bytes.size()) {
        const auto length = static_cast<std::size_t>(big_endian(bytes, at, 4));
        if (length > bytes.size() - at - 12) break;
        if (header.width == 0 && has(bytes, at + 4, "IHDR") && length >= 9) {  // decoders go by the first
            header.width = big_endian(bytes, at + 8, 4);
            header.height = big_endian(bytes, at + 12, 4);
            header.bits = bytes[at + 16];
        }
        header.complete = has(bytes, at + 4, "IEND");
        at += 12 + length;
    }
    return header;
}

ImageHeader read_jpeg(Bytes bytes) {
    ImageHeader header{ImageFormat::jpeg, 0, 0, 0, false};
    bool jpeg_ls = false;
    std::size_t at = 2;
    while (at + 1 < bytes.size()) {
        // Within the coded data FF is followed by 00 (stuffing; in JPEG-LS by any byte below 80), FF (fill) or
        // D0-D7 (restart): none is a segment.
        const std::uint8_t marker = bytes[at + 1];
        if (bytes[at] != 0xFF || marker == 0xFF) {
            ++at;
        } else if (marker <= (jpeg_ls ? 0x7F : 0x01) || (marker >= 0xD0 && marker <= 0xD7)) {
            at += 2;
        } else if (marker == 0xD9) {
            header.complete = true;
            break;
        } else {
            if (at + 4 > bytes.size()) break;
            const auto length = static_cast<std::size_t>(big_endian(bytes, at + 2, 2));
            if (length < 2 || length > bytes.size() - at - 2) break;
            jpeg_ls = jpeg_ls || marker == 0xF7;
            const bool frame = jpeg_ls || (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 &&
                                           marker != 0xC8 && marker != 0xCC);
            if (frame && length >= 7 && header.width == 0) {  // decoders go by the first
                header.bits = bytes[at + 4];
                header.height = big_endian(bytes, at + 5, 2);
                header.width = big_endian(bytes, at + 7, 2);
                const bool lossless = marker == 0xC3 || marker == 0xC7 || marker == 0xCB || marker == 0xCF;
                if (jpeg_ls || lossless || header.bits != 8)
                    header.unreadable =
                        std::string(jpeg_ls    ? "a JPEG-LS file"
                                    : lossless ? "a lossless JPEG"
                                               : "a JPEG") +
                        " of " + std::to_string(header.bits) +
                        " bits; expected a baseline or progressive JPEG of 8 bits; convert it to PNG";
            }
            at += 2 + length;
        }
    }
    return header;
}

}  // namespace

ImageHeader read_image_header(Bytes bytes) {
    if (has(bytes, 0, "\x89PNG\r\n\x1a\n")) return read_png(bytes);
    if (has(bytes, 0, "\xFF\xD8\xFF")) return read_jpeg(bytes);
    if (is_dicom(bytes)) return read_dicom_header(bytes);  // its preamble may look like the start of a TIFF
    if (is_tiff(bytes)) return read_tiff_header(bytes);
    return {};
}

std::string describe_bytes(Bytes bytes) {
    if (has(bytes, 0, "II+") || has(bytes, 0, std::string_view("MM\0+", 4)))
        return "a BigTIFF file; convert it to PNG";
    if (has(bytes, 4, "jP  \r\n") || has(bytes, 0, "\xFF\x4F\xFF\x51"))
        return "a JPEG 2000 file; convert it to PNG";
    if (has(bytes, 0, "RIFF") && has(bytes, 8, "WEBP")) return "a WebP file; convert it to PNG";
    if (has(bytes, 4, "ftyp")) return "a HEIF or AVIF file; convert it to PNG";
    if (has(bytes, 0, "PK\x03\x04")) return "a ZIP archive; unpack it";
    if (has(bytes, 0, "\x1F\x8B")) return "a file compressed with gzip; unpack it";
    if (has(bytes, 0, "BM")) return "a BMP file; convert it to PNG";
    if (has(bytes, 0, "GIF8")) return "a GIF file; convert it to PNG";
    if (has(bytes, 0, "version https://git-lfs"))
        return "a Git LFS pointer; fetch the image with: git lfs pull";
    if (has(bytes, 0, "<!DOCTYPE") || has(bytes, 0, "<html"))
        return "a web page; the download failed, repeat it";
    if (std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; })) {
        return "nothing but zero bytes; copy the file again";
    }
    std::string text = "bytes";
    constexpr std::string_view digits = "0123456789abcdef";
    for (const std::uint8_t b : bytes.first(std::min<std::size_t>(bytes.size(), 8))) {
        text += std::string(" ") + digits[b >> 4] + digits[b & 15];
    }
    return text + " at the start";
}

}  // namespace hearth::images
