#include "data/overlap.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "base/fnv.hpp"
#include "images/cell.hpp"

namespace hearth::data {
namespace {

constexpr std::size_t most_examples = 3;
constexpr std::size_t sample_bytes = 4096;

/// An image: its file by device and inode, so that links are the file they lead to. `owner` is what has to be
/// apart.
struct Film {
    std::string name, file;
    std::int64_t size = 0;  ///< 0: no file, or nothing in it
    int owner = 0;
};

Film film_of(const Part& part, std::int64_t index, int owner) {
    auto name = part.images.name(index);
    struct stat info {};
    if (::stat(name.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
        auto generated = part.place + " " + name;
        return {std::move(name), std::move(generated), 0, owner};
    }
    return {std::move(name), fmt::format("{}:{}", info.st_dev, info.st_ino), info.st_size, owner};
}

/// The bytes of a file from `begin` on, hashed; of a file that cannot be read its name.
std::uint64_t hash_of(const Film& film, std::int64_t begin, std::size_t most) {
    std::ifstream in(film.name, std::ios::binary);
    if (!in.seekg(begin)) return base::fnv1a(film.name);
    std::uint64_t hash = base::fnv_start;
    std::string block(std::min<std::size_t>(most, 1 << 20), '\0');
    while (most > 0 && in) {
        in.read(block.data(), static_cast<std::streamsize>(std::min(block.size(), most)));
        const auto got = static_cast<std::size_t>(in.gcount());
        hash = base::fnv1a({block.data(), got}, hash);
        most -= got;
    }
    return hash;
}

using Groups = std::vector<std::vector<std::size_t>>;

/// Each group divided by a property of its films; parts of one owner are left out.
template <typename Property>
Groups divided(const Groups& groups, const std::vector<Film>& films, const Property& property) {
    Groups out;
    for (const auto& group : groups) {
        std::map<decltype(property(films.front())), std::vector<std::size_t>> parts;
        for (const auto i : group) parts[property(films[i])].push_back(i);
        for (auto& [value, part] : parts) {
            const auto owner = films[part.front()].owner;
            if (std::ranges::any_of(part, [&](std::size_t i) { return films[i].owner != owner; }))
                out.push_back(std::move(part));
        }
    }
    return out;
}

void add(Shared& shared, std::string example) {
    ++shared.count;
    if (shared.examples.size() < most_examples) shared.examples.push_back(std::move(example));
}

/// By film the first of its group, where that has another owner; in the order of the films.
std::map<std::size_t, std::size_t> firsts(const Groups& groups, const std::vector<Film>& films) {
    std::map<std::size_t, std::size_t> out;
    for (const auto& group : groups)
        for (const auto i : group)
            if (films[i].owner != films[group.front()].owner) out.emplace(i, group.front());
    return out;
}

/// Fills files and contents, and returns which films they are.
std::set<std::size_t> compare_files(const std::vector<Film>& films, Overlap& out) {
    Groups all(1);
    for (std::size_t i = 0; i < films.size(); ++i) all.front().push_back(i);
    std::set<std::size_t> found;
    const auto same = divided(all, films, [](const Film& film) { return film.file; });
    for (const auto& [i, first] : firsts(same, films)) {
        found.insert(i);
        add(out.files, films[i].name);
    }
    std::erase_if(all.front(), [&](std::size_t i) { return films[i].size == 0; });
    auto alike = divided(all, films, [](const Film& film) { return film.size; });
    alike = divided(alike, films, [](const Film& film) { return hash_of(film, film.size / 2, sample_bytes); });
    alike = divided(alike, films, [](const Film& film) { return hash_of(film, 0, SIZE_MAX); });
    for (const auto& [i, first] : firsts(alike, films))
        if (found.insert(i).second)
            add(out.contents, fmt::format("{} like {}", films[i].name, films[first].name));
    return found;
}

std::string patient_of(const Part& part, std::int64_t index) {
    return images::key(part.images.cell(index, part.patient).value_or(""));
}

std::string counted(const Shared& shared, const std::string& one, const std::string& more) {
    return fmt::format("{} {} ({}{})", shared.count, shared.count == 1 ? one : more,
                       fmt::join(shared.examples, ", "),
                       shared.count > static_cast<std::int64_t>(shared.examples.size()) ? ", .." : "");
}

}  // namespace

std::string Overlap::text() const {
    std::vector<std::string> parts;
    if (files.count > 0) parts.push_back(counted(files, "same file", "same files"));
    if (contents.count > 0)
        parts.push_back(counted(contents, "file of the same content", "files of the same content"));
    if (patients.count > 0) parts.push_back(counted(patients, "same patient", "same patients"));
    return fmt::format("{}", fmt::join(parts, ", "));
}

Overlap overlap(const Part& first, const Part& second) {
    std::vector<Film> films;
    for (std::int64_t i = 0; i < first.images.size(); ++i) films.push_back(film_of(first, i, 0));
    for (std::int64_t i = 0; i < second.images.size(); ++i) films.push_back(film_of(second, i, 1));
    Overlap out;
    out.of = second.images.size();
    auto found = compare_files(films, out);
    if (first.place == second.place) {
        std::set<std::string> known, met;
        for (std::int64_t i = 0; i < first.images.size(); ++i) known.insert(patient_of(first, i));
        known.erase("");
        for (std::int64_t i = 0; i < second.images.size(); ++i) {
            const auto patient = patient_of(second, i);
            if (!known.contains(patient)) continue;
            found.insert(static_cast<std::size_t>(first.images.size() + i));
            // As written: the key of "007" is 7.
            if (met.insert(patient).second) add(out.patients, *second.images.cell(i, second.patient));
        }
    }
    out.images = std::ssize(found);
    return out;
}

Overlap repeated(const Part& part, const std::vector<int>& numbers) {
    std::vector<Film> films;
    for (std::int64_t i = 0; i < part.images.size(); ++i)
        films.push_back(film_of(part, i, numbers[static_cast<std::size_t>(i)]));
    Overlap out;
    out.of = part.images.size();
    out.images = std::ssize(compare_files(films, out));
    return out;
}

}  // namespace hearth::data
