// Writes a set of phantoms and its manifest.
#include <algorithm>
#include <atomic>
#include <exception>
#include <fstream>
#include <hearth/error.hpp>
#include <mutex>
#include <thread>

#include "base/csv.hpp"
#include "base/splitmix.hpp"
#include "images/image.hpp"
#include "images/phantom/phantom.hpp"

namespace hearth::images {
namespace fs = std::filesystem;

// In an order of their own within each ten.
std::string split_of(std::uint64_t subject, std::uint64_t seed) {
    std::array<const char*, 10> tens = {"train", "train", "train", "train", "train",
                                        "train", "train", "val",   "test",  "test"};
    base::SplitMix random(seed, subject / 10, 3);
    for (int i = 9; i > 0; --i)
        std::swap(tens[static_cast<std::size_t>(i)], tens[static_cast<std::size_t>(random.index(i + 1))]);
    return tens[subject % 10];
}

namespace {

std::string numbered(int index) {
    const std::string digits = std::to_string(index);
    return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

/// Draws and saves one subject; returns its line of the manifest.
std::string write_subject(const fs::path& folder, int index, const PhantomOptions& options) {
    const auto subject = static_cast<std::uint64_t>(index);
    const Lesion lesion = lesion_of(subject, options);
    const Phantom phantom = draw_phantom(options.seed, subject, lesion, options.size);
    const std::string image = "images/" + numbered(index) + ".png";
    const std::string mask = lesion == Lesion::none ? "none" : "masks/" + numbered(index) + ".png";
    save_png(folder / image, phantom.image);
    if (lesion != Lesion::none) save_png(folder / mask, phantom.mask);
    return image + ",P" + numbered(index) + ',' + to_string(lesion) + ',' +
           (lesion == Lesion::none ? '0' : '1') + ',' + mask + ',' + base::csv_field(phantom.location) + ',' +
           split_of(subject, options.seed) + '\n';
}

/// Calls `work(i)` for i in [0, count) on several threads; rethrows the first exception.
template <typename Work>
void for_each_index(int count, int workers, const Work& work) {
    std::atomic<int> next{0};
    std::exception_ptr failure;
    std::mutex failure_mutex;
    const auto run = [&] {
        try {
            for (int i = next++; i < count; i = next++) work(i);
        } catch (...) {
            const std::lock_guard lock(failure_mutex);
            if (!failure) failure = std::current_exception();
            next = count;
        }
    };
    {
        std::vector<std::jthread> threads;
        for (int i = 1; i < workers; ++i) threads.emplace_back(run);
        run();
    }
    if (failure) std::rethrow_exception(failure);
}

}  // namespace

Lesion lesion_of(std::uint64_t subject, const PhantomOptions& options) {
    base::SplitMix random(options.seed, subject, 2);
    const bool abnormal = random.chance(options.lesion_share);
    return abnormal ? lesions[static_cast<std::size_t>(random.index(static_cast<int>(lesions.size())))]
                    : Lesion::none;
}

Manifest write_phantoms(const fs::path& folder, int count, const PhantomOptions& options) {
    if (count < 1) throw RecipeError("phantom: found count " + std::to_string(count) + "; expected at least 1");
    if (!(options.lesion_share >= 0 && options.lesion_share <= 1)) {
        throw RecipeError("phantom: found lesion_share " + std::to_string(options.lesion_share) +
                          "; expected 0 to 1");
    }
    std::error_code error;
    fs::create_directories(folder / "images", error);
    if (!error) fs::create_directories(folder / "masks", error);
    if (error) throw DataError(folder.string() + ": cannot be created: " + error.message());

    std::vector<std::string> lines(static_cast<std::size_t>(count));
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    const int workers = std::min(count, options.workers > 0 ? options.workers : cores);
    for_each_index(count, workers,
                   [&](int i) { lines[static_cast<std::size_t>(i)] = write_subject(folder, i, options); });

    // The manifest comes last, so that a folder that has one is complete.
    const fs::path file = folder / "manifest.csv", draft = folder / "manifest.csv.part";
    std::ofstream stream(draft, std::ios::binary);
    stream << "path,patient,label,abnormal,mask,location,split\n";
    for (const std::string& line : lines) stream << line;
    stream.close();
    if (stream) fs::rename(draft, file, error);
    if (!stream || error) throw DataError(file.string() + ": cannot be written; check that the disk has room");
    return read_manifest(file);
}

}  // namespace hearth::images
