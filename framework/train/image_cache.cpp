#include "train/image_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <hearth/error.hpp>
#include <limits>
#include <optional>

#include "base/size_text.hpp"
#include "dist/launch.hpp"

namespace hearth::train {
namespace {

namespace fs = std::filesystem;
using base::size_text;

constexpr double bytes_in_memory = 2, bytes_in_file = 1;  // a pixel

/// The number after `name` in a file of lines "name number"; with "" its first. Nothing where there is none
/// ("max", or no such file).
std::optional<double> number_in(const fs::path& file, const std::string& name = "") {
    std::ifstream in(file);
    double value = 0;
    if (name.empty()) return in >> value ? std::optional(value) : std::nullopt;
    for (std::string word; in >> word;)
        if (word == name && in >> value) return value;
    return std::nullopt;
}

/// "/user/job" of the line "0::/user/job".
std::string control_group() {
    std::ifstream in("/proc/self/cgroup");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("0::")) return line.substr(3);
    return "/";
}

}  // namespace

double ImageCache::bytes() const {
    return kind == "memory" ? memory : kind == "packed" ? file : 0;
}

std::string ImageCache::text() const {
    const auto why = automatic ? " (data.cache = \"auto\")" : "";
    const auto together = processes > 1 ? fmt::format(" in {} processes", processes) : "";
    if (kind == "memory")
        return fmt::format("images are kept in memory: {}{} of {} free{}", size_text(memory), together,
                           size_text(free), why);
    if (kind == "packed" && automatic)
        return fmt::format(
            "images are packed into a file of {}: in memory they would take {}{}, more than {:.0f} % of what "
            "is free, {} here{}",
            size_text(file), size_text(memory), together, 100 * cache_share, size_text(free), why);
    if (kind == "packed") return fmt::format("images are packed into a file of {}", size_text(file));
    return "images are decoded anew each time (data.cache = \"none\")";
}

std::string ImageCache::warning() const {
    if (kind != "memory" || automatic || memory <= free) return "";
    return fmt::format(
        "images in memory will take {}{}, and {} are free: the system may end the run when they are all there; "
        "set data.cache = \"packed\", or \"auto\"",
        size_text(memory), processes > 1 ? fmt::format(" in {} processes", processes) : "", size_text(free));
}

ImageCache choose_cache(const recipe::DataSpec& spec, std::int64_t trained, std::int64_t all, int processes,
                        double free) {
    const auto pixels = static_cast<double>(spec.size) * static_cast<double>(spec.size);
    ImageCache out;
    out.automatic = spec.cache == "auto";
    out.memory = bytes_in_memory * pixels * static_cast<double>(trained) * processes;
    out.file = bytes_in_file * pixels * static_cast<double>(all);
    out.free = free;
    out.processes = processes;
    out.kind = !out.automatic ? spec.cache : out.memory <= cache_share * free ? "memory" : "packed";
    return out;
}

ImageCache choose_cache(const recipe::DataSpec& spec, std::int64_t trained, std::int64_t all) {
    const auto launch = dist::read_launch(dist::process_environment());
    return choose_cache(spec, trained, all, launch ? launch->local_world : 1, free_memory());
}

double left_by_groups(const fs::path& root, const std::string& group) {
    double left = std::numeric_limits<double>::infinity();
    for (auto path = root / fs::path(group).relative_path();; path = path.parent_path()) {
        if (const auto limit = number_in(path / "memory.max")) {
            const auto used = number_in(path / "memory.current").value_or(0);
            const auto files = number_in(path / "memory.stat", "inactive_file").value_or(0);
            left = std::min(left, std::max(0.0, *limit - used + files));
        }
        if (path == root || !path.has_relative_path()) return left;
    }
}

double free_memory() {
    const auto available = number_in("/proc/meminfo", "MemAvailable:");
    if (!available)
        throw Error(ExitCode::internal,
                    "found no MemAvailable in /proc/meminfo; set train.batch to a number, and data.cache to "
                    "\"memory\" or \"packed\"");
    return std::min(*available * 1024, left_by_groups("/sys/fs/cgroup", control_group()));
}

}  // namespace hearth::train
