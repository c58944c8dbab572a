#include "host/dynamic_symbols.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <hearth/error.hpp>
#include <vector>

namespace hearth::host {
namespace {

#if defined(__x86_64__)
constexpr int machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr int machine = EM_AARCH64;
#else
#error "add the ELF machine number of this architecture"
#endif

constexpr std::ptrdiff_t longest_name = 1000;  // of a section: a table of texts may be one endless name

/// What the headers of a library say, each offset and size checked against the file.
class ElfFile {
  public:
    explicit ElfFile(const std::filesystem::path& file)
        : name_(file.string()), size_(std::filesystem::file_size(file)), stream_(file, std::ios::binary) {
        if (!check_elf(file).empty()) damaged();
        header_ = read<Elf64_Ehdr>(0, 1).front();
        sections_ = read<Elf64_Shdr>(header_.e_shoff, header_.e_shnum);
    }

    const std::vector<Elf64_Shdr>& sections() const { return sections_; }
    /// The texts of section `index`, which other tables point into.
    std::vector<char> texts(std::size_t index) {
        if (index >= sections_.size()) damaged();
        auto texts = read<char>(sections_[index].sh_offset, sections_[index].sh_size);
        texts.push_back('\0');  // where the last one has no end
        return texts;
    }
    std::vector<char> section_names() { return texts(header_.e_shstrndx); }

    /// `count` values of T at `offset`.
    template <class T>
    std::vector<T> read(std::uint64_t offset, std::uint64_t count) {
        if (offset > size_ || count > (size_ - offset) / sizeof(T)) damaged();
        std::vector<T> values(count);
        stream_.seekg(static_cast<std::streamoff>(offset));
        stream_.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(T)));
        if (!stream_) damaged();
        return values;
    }
    [[noreturn]] void damaged() const {
        throw PluginError(name_ + ": found a damaged or incomplete library, expected an ELF shared library; " +
                          "build or copy it again");
    }

  private:
    std::string name_;
    std::uint64_t size_;
    std::ifstream stream_;
    Elf64_Ehdr header_{};
    std::vector<Elf64_Shdr> sections_;
};

}  // namespace

std::string check_elf(const std::filesystem::path& file) {
    Elf64_Ehdr header{};
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return "a file that cannot be read";
    stream.read(reinterpret_cast<char*>(&header), sizeof(header));
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return stream.gcount() == 0 ? "an empty file" : "a file that is no library";
    if (stream.gcount() != sizeof(header)) return "a damaged or incomplete library";
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != machine)
        return "a library for another kind of machine";
    return header.e_type == ET_DYN ? "" : "an ELF file that is no shared library";
}

std::vector<std::string> section_names(const std::filesystem::path& file) {
    ElfFile elf(file);
    if (elf.sections().empty()) return {};
    const auto texts = elf.section_names();
    std::vector<std::string> names;
    for (const auto& section : elf.sections()) {
        if (section.sh_name >= texts.size()) elf.damaged();
        const auto begin = texts.begin() + section.sh_name;
        const auto end = std::find(begin, begin + std::min(texts.end() - begin, longest_name), '\0');
        if (end == texts.end() || *end != '\0') elf.damaged();
        names.emplace_back(begin, end);
    }
    return names;
}

namespace {

/// The texts of its dynamic section with one of these tags.
std::vector<std::string> dynamic_texts(const std::filesystem::path& file, Elf64_Sxword tag) {
    ElfFile elf(file);
    const auto table = std::find_if(elf.sections().begin(), elf.sections().end(),
                                    [](const auto& section) { return section.sh_type == SHT_DYNAMIC; });
    std::vector<std::string> out;
    if (table == elf.sections().end()) return out;
    const auto texts = elf.texts(table->sh_link);
    for (const auto& entry : elf.read<Elf64_Dyn>(table->sh_offset, table->sh_size / sizeof(Elf64_Dyn))) {
        if (entry.d_tag != tag) continue;
        if (entry.d_un.d_val >= texts.size()) elf.damaged();
        out.emplace_back(texts.data() + entry.d_un.d_val);
    }
    return out;
}

}  // namespace

std::vector<std::string> needed_libraries(const std::filesystem::path& file) {
    return dynamic_texts(file, DT_NEEDED);
}

std::string own_name(const std::filesystem::path& file) {
    const auto names = dynamic_texts(file, DT_SONAME);
    return names.empty() ? "" : names.front();
}

bool exports_symbol(const std::filesystem::path& file, const std::string& name) {
    ElfFile elf(file);
    const auto table = std::find_if(elf.sections().begin(), elf.sections().end(),
                                    [](const auto& section) { return section.sh_type == SHT_DYNSYM; });
    if (table == elf.sections().end()) return false;
    const auto names = elf.texts(table->sh_link);
    const auto symbols = elf.read<Elf64_Sym>(table->sh_offset, table->sh_size / sizeof(Elf64_Sym));
    return std::any_of(symbols.begin(), symbols.end(), [&](const auto& symbol) {
        const bool global =
            ELF64_ST_BIND(symbol.st_info) != STB_LOCAL && ELF64_ST_VISIBILITY(symbol.st_other) == STV_DEFAULT;
        return global && symbol.st_shndx != SHN_UNDEF && symbol.st_name < names.size() &&
               std::strncmp(names.data() + symbol.st_name, name.c_str(), name.size() + 1) == 0;
    });
}

}  // namespace hearth::host
