#include "images/missing_file.hpp"

#include <algorithm>
#include <cctype>

#include "images/cell.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

/// U+0300 to U+036F, the accents that follow their letter.
bool is_accent(std::string_view text) {
    return text.starts_with('\xCC') ||
           (text.starts_with('\xCD') && text.size() > 1 && (text[1] & 0x3F) <= 0x2F);
}

/// A name in small letters, '?' for a letter that is no ASCII or has accents: the same for "o" with an accent
/// behind it (NFD) as for the one letter of both (NFC).
std::string outline(std::string_view name, bool& has_accents) {
    std::string out;
    for (; !name.empty(); name.remove_prefix(1)) {
        const auto c = static_cast<unsigned char>(name.front());
        if (is_accent(name)) {
            has_accents = true;
            if (!out.empty()) out.back() = '?';
        } else if (c >= 0xC0) {
            out += '?';
        } else if (c < 0x80) {
            out += static_cast<char>(std::tolower(c));
        }
    }
    return out;
}

std::string small(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

/// What makes `found` another name than `wanted`; empty where they are not alike.
std::string difference(const std::string& wanted, const std::string& found) {
    if (small(wanted) == small(found)) return "capital letters count";
    if (trimmed(wanted) == trimmed(found)) return "it has blanks at its start or end";
    bool one = false, other = false;
    if (outline(wanted, one) == outline(found, other) && one != other)
        return "its accents are composed in another way (Unicode NFC and NFD, as on Macs); rename the files "
               "with: convmv "
               "-r -f utf8 -t utf8 --nfc --notest FOLDER";
    return {};
}

}  // namespace

std::string not_a_path(const std::string& written, const fs::path& path) {
    std::error_code error;
    if (const auto scheme = written.find("://"); scheme != std::string::npos && scheme > 0)
        return "the address '" + written + "'; expected a path of this machine" +
               (written.starts_with("file://") ? ": '" + written.substr(7) + "'" : "; download it first");
    const bool drive = written.size() > 2 && written[1] == ':' && (written[2] == '\\' || written[2] == '/');
    if (!drive && written.find('\\') == std::string::npos) return {};
    if (fs::exists(path, error)) return {};
    std::string slashes = written;
    std::replace(slashes.begin(), slashes.end(), '\\', '/');
    return "'" + written + "', a path of Windows; expected '/' between folders" +
           (drive ? ", and no drive" : ": '" + slashes + "'");
}

std::string hint_for_missing(const fs::path& path) {
    std::error_code error;
    fs::path there;
    for (const fs::path& part : path) {
        if (fs::exists(there / part, error)) {
            there /= part;
            continue;
        }
        if (part == "~") return "; '~' is known to shells alone: write the folder's whole path";
        for (const auto& entry : fs::directory_iterator(there.empty() ? fs::path(".") : there, error)) {
            const std::string found = entry.path().filename().string();
            if (const std::string why = difference(part.string(), found); !why.empty())
                return "; there is '" + found + "': " + why;
        }
        break;
    }
    return {};
}

}  // namespace hearth::images
