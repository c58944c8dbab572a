#include "export/npz.hpp"

#include <fmt/format.h>
#include <minizip/zip.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <limits>

namespace hearth::exporting {
namespace {

std::string numpy_type(at::ScalarType type) {
    switch (type) {
        case at::kFloat:
            return "<f4";
        case at::kDouble:
            return "<f8";
        case at::kLong:
            return "<i8";
        case at::kInt:
            return "<i4";
        case at::kByte:
            return "|u1";
        default:
            throw Error(ExitCode::internal, fmt::format("npz: no type for {}", at::toString(type)));
    }
}

/// Magic, version 1.0, length and the dictionary of a .npy file; the data after it start at a multiple of 64.
std::string npy_header(const std::string& type, std::span<const std::int64_t> shape) {
    std::string sizes;
    for (const auto size : shape) sizes += fmt::format("{},", size);
    std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, sizes);
    constexpr std::size_t before = 10, alignment = 64;  // magic 6, version 2, length 2
    text.resize((before + text.size() + alignment) / alignment * alignment - before - 1, ' ');
    text += '\n';
    std::string out("\x93NUMPY\x01\x00", 8);
    out += static_cast<char>(text.size() & 0xff);
    out += static_cast<char>(text.size() >> 8);
    return out + text;
}

std::u32string utf32(const std::string& text) {
    constexpr char32_t replacement = 0xfffd;
    std::u32string out;
    for (std::size_t i = 0; i < text.size();) {
        const auto first = static_cast<unsigned char>(text[i++]);
        const int more = first < 0x80       ? 0
                         : first >> 5 == 6  ? 1
                         : first >> 4 == 14 ? 2
                         : first >> 3 == 30 ? 3
                                            : -1;
        char32_t point = more <= 0 ? first : first & (0x3f >> more);
        bool whole = more >= 0;
        for (int k = 0; whole && k < more; ++k) {
            whole = i < text.size() && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
            if (whole) point = point << 6 | (static_cast<unsigned char>(text[i++]) & 0x3f);
        }
        out += whole && point <= 0x10ffff ? point : replacement;
    }
    return out;
}

}  // namespace

NpzWriter::NpzWriter(std::filesystem::path file)
    : file_(std::move(file)),
      temporary_(file_.string() + ".tmp"),
      zip_(zipOpen64(temporary_.c_str(), APPEND_STATUS_CREATE)) {
    if (zip_ == nullptr) fail("cannot create it");
}

NpzWriter::~NpzWriter() {
    if (zip_ == nullptr) return;
    zipClose(zip_, nullptr);
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
}

void NpzWriter::fail(const std::string& what) const {
    throw DataError(fmt::format("{}: {}; check the folder and the free space", file_.string(), what));
}

void NpzWriter::add(const std::string& name, const at::Tensor& tensor) {
    const auto plain = tensor.detach().cpu().contiguous();
    member(name, numpy_type(plain.scalar_type()), plain.sizes(),
           {static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()});
}

void NpzWriter::add(const std::string& name, const std::vector<std::string>& texts) {
    std::vector<std::u32string> all;
    std::size_t width = 1;
    for (const auto& text : texts) {
        all.push_back(utf32(text));
        width = std::max(width, all.back().size());
    }
    std::u32string cells;
    for (auto& text : all) {
        text.resize(width, U'\0');
        cells += text;
    }
    const std::int64_t shape[] = {static_cast<std::int64_t>(texts.size())};
    member(name, fmt::format("<U{}", width), shape,
           {reinterpret_cast<const char*>(cells.data()), cells.size() * sizeof(char32_t)});
}

void NpzWriter::member(const std::string& name, const std::string& type, std::span<const std::int64_t> shape,
                       std::span<const char> bytes) {
    zip_fileinfo info{};
    info.tmz_date.tm_year = 1980;  // the earliest a zip knows: the same content gives the same file
    info.tmz_date.tm_mday = 1;
    const int zip64 = bytes.size() > std::numeric_limits<std::uint32_t>::max() / 2 ? 1 : 0;
    if (zipOpenNewFileInZip64(zip_, (name + ".npy").c_str(), &info, nullptr, 0, nullptr, 0, nullptr, 0, 0,
                              zip64) != ZIP_OK)
        fail("cannot add " + name);
    const auto write = [&](const char* data, std::size_t size) {
        constexpr std::size_t chunk = 1 << 30;  // minizip counts in 32 bits
        for (std::size_t at = 0; at < size; at += chunk)
            if (zipWriteInFileInZip(zip_, data + at, static_cast<unsigned>(std::min(chunk, size - at))) !=
                ZIP_OK)
                fail("cannot write " + name);
    };
    const auto header = npy_header(type, shape);
    write(header.data(), header.size());
    write(bytes.data(), bytes.size());
    if (zipCloseFileInZip(zip_) != ZIP_OK) fail("cannot write " + name);
}

void NpzWriter::close() {
    const int closed = zipClose(zip_, nullptr);
    zip_ = nullptr;
    std::error_code failed;
    if (closed == ZIP_OK) std::filesystem::rename(temporary_, file_, failed);
    if (closed == ZIP_OK && !failed) return;
    std::filesystem::remove(temporary_, failed);
    fail("cannot write it");
}

}  // namespace hearth::exporting
