// data.cache = "auto" decides where decoded images are kept while a run trains: in memory or in a packed file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "recipe/recipe.hpp"

namespace hearth::train {

/// Of the memory that is free, the share that images kept by data.cache = "auto" may take.
inline constexpr double cache_share = 0.5;

struct ImageCache {
    std::string kind = "none";  ///< "none", "memory" or "packed"
    bool automatic = false;     ///< chosen here, not written in the recipe
    double memory = 0;          ///< bytes in memory, of all processes of the machine together
    double file = 0;            ///< bytes of the packed file
    double free = 0;            ///< bytes of memory that are free before
    int processes = 1;          ///< of this machine
    /// What the kind takes: memory, or the size of the file.
    double bytes() const;
    /// "images are kept in memory: 1.50 GiB of 22.10 GiB free (data.cache = "auto")".
    std::string text() const;
    /// What to do where a kind that was written takes more memory than is free, else "".
    std::string warning() const;
};

/// For `trained` of `all` images of [data]: memory where those of all processes together take at most
/// cache_share of `free`, else packed; what [data] says where it is not "auto".
ImageCache choose_cache(const recipe::DataSpec& spec, std::int64_t trained, std::int64_t all, int processes,
                        double free);
/// Here and now: as many processes as this one was started with, and the memory that is free.
ImageCache choose_cache(const recipe::DataSpec& spec, std::int64_t trained, std::int64_t all);

/// Bytes that this process may still take: what the system has free, or less where a control group of this
/// process (a container, a job of SLURM) allows less. Pages that hold files count as free.
double free_memory();

/// The least that the control group with this path ("/a/b") and those above it leave, below `root` (a mount of
/// cgroup v2); infinity where none has a limit.
double left_by_groups(const std::filesystem::path& root, const std::string& group);

}  // namespace hearth::train
