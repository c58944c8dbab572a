#include "host/dynamic_symbols.hpp"

#include <elf.h>

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

class ElfFile {
  public:
    explicit ElfFile(const std::filesystem::path& file)
        : name_(file.string()), size_(std::filesystem::file_size(file)), stream_(file, std::ios::binary) {}

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

bool exports_symbol(const std::filesystem::path& file, const std::string& name) {
    ElfFile elf(file);
    const auto header = elf.read<Elf64_Ehdr>(0, 1).front();
    const auto sections = elf.read<Elf64_Shdr>(header.e_shoff, header.e_shnum);
    for (const auto& section : sections) {
        if (section.sh_type != SHT_DYNSYM) continue;
        if (section.sh_link >= sections.size()) elf.damaged();
        const auto& strings = sections[section.sh_link];
        auto names = elf.read<char>(strings.sh_offset, strings.sh_size);
        names.push_back('\0');
        for (const auto& symbol : elf.read<Elf64_Sym>(section.sh_offset, section.sh_size / sizeof(Elf64_Sym))) {
            const bool global = ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
                                ELF64_ST_VISIBILITY(symbol.st_other) == STV_DEFAULT;
            if (global && symbol.st_shndx != SHN_UNDEF && symbol.st_name < names.size() &&
                name == names.data() + symbol.st_name)
                return true;
        }
    }
    return false;
}

}  // namespace hearth::host
