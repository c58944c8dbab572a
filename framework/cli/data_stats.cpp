// hearth data stats shows a manifest in figures.
#include <fmt/format.h>

#include <hearth/text.hpp>
#include <nlohmann/json.hpp>

#include "base/countdown.hpp"
#include "base/counted.hpp"
#include "base/json_text.hpp"
#include "cli/data.hpp"
#include "images/filter.hpp"
#include "images/statistics.hpp"

namespace hearth::cli {
namespace {

using images::Statistics;
using nlohmann::json;

struct StatsFlags : SourceArguments {
    std::size_t sample = images::StatisticsOptions{}.sample;
};

std::string named(const std::string& word, const char* otherwise) {
    return word.empty() ? otherwise : word;
}

json as_json(const Statistics& statistics) {
    json splits = json::object(), values = json::object(), numbers = json::object(), bits = json::object();
    for (const auto& [split, counts] : statistics.splits)
        splits[split] = {{"images", counts.images}, {"patients", counts.patients}};
    for (const auto& column : statistics.values) values[column.column] = column.by_value;
    for (const auto& range : statistics.numbers)
        numbers[range.column] = {
            {"min", range.least}, {"mean", range.mean}, {"max", range.most}, {"unknown", range.unknown}};
    const auto& files = statistics.files;
    for (const auto& [count, images] : files.bits) bits[std::to_string(count)] = images;
    return {{"images", statistics.images},
            {"patients", statistics.patients},
            {"repeated", statistics.repeated},
            {"splits", splits},
            {"values", values},
            {"numbers", numbers},
            {"files",
             {{"sampled", files.sampled},
              {"unreadable", files.unreadable},
              {"flat", files.flat},
              {"formats", files.formats},
              {"sizes", files.sizes},
              {"bits", bits},
              {"intensity",
               {{"min", files.least},
                {"max", files.most},
                {"mean", files.mean},
                {"std", files.deviation},
                {"min_of_means", files.least_mean},
                {"max_of_means", files.most_mean}}}}}};
}

/// A row for each value, a column for each split.
void print_values(const Statistics& statistics, const images::ValueCounts& counts) {
    std::size_t width = counts.column.size();
    for (const auto& [value, by_split] : counts.by_value)
        width = std::max(width, named(value, "(not known)").size());
    fmt::print("\n{:<{}}", counts.column, width);
    for (const auto& [split, all] : statistics.splits) fmt::print("  {:>10}", named(split, "images"));
    fmt::print("\n");
    for (const auto& [value, by_split] : counts.by_value) {
        fmt::print("{:<{}}", named(value, "(not known)"), width);
        for (const auto& [split, all] : statistics.splits) {
            const auto found = by_split.find(split);
            fmt::print("  {:>10}", found == by_split.end() ? 0 : found->second);
        }
        fmt::print("\n");
    }
}

void print_files(const images::ImageStatistics& files) {
    const auto list = [](const auto& counts, std::size_t most) {
        std::vector<std::pair<std::size_t, std::string>> sorted;
        for (const auto& [what, count] : counts) sorted.emplace_back(count, fmt::format("{}", what));
        std::stable_sort(sorted.begin(), sorted.end(),
                         [](const auto& a, const auto& b) { return a.first > b.first; });
        std::vector<std::string> words;
        for (const auto& [count, what] : sorted)
            if (words.size() < most) words.push_back(fmt::format("{} ({})", what, count));
        if (sorted.size() > most) words.push_back(fmt::format("{} more", sorted.size() - most));
        return join(words);
    };
    fmt::print("\nfiles opened  {} of them, {} unreadable, {} blank or nearly\n", files.sampled,
               files.unreadable, files.flat);
    if (files.sampled == files.unreadable) return;
    fmt::print("format        {}\n", list(files.formats, 3));
    fmt::print("size          {}\n", list(files.sizes, 6));
    fmt::print("bits          {}\n", list(files.bits, 6));
    fmt::print("intensity     {:.4f} to {:.4f}, mean {:.4f}, standard deviation {:.4f}\n", files.least,
               files.most, files.mean, files.deviation);
    fmt::print("image means   {:.4f} to {:.4f}\n", files.least_mean, files.most_mean);
}

std::string patients_text(std::size_t patients) {
    return base::counted(static_cast<std::int64_t>(patients), "patient");
}

void print(const Statistics& statistics, const std::string& source) {
    fmt::print("{}: {}", source, base::counted(static_cast<std::int64_t>(statistics.images), "image"));
    if (statistics.patients > 0) fmt::print(" of {}", patients_text(statistics.patients));
    fmt::print("\n");
    if (statistics.repeated > 0)
        fmt::print("note: {} of {} rows name an image that an earlier row names, such as {}\n",
                   statistics.repeated, statistics.images, statistics.first_repeated);
    const bool split = statistics.splits.size() > 1 || statistics.splits.count("") == 0;
    for (const auto& [name, counts] : statistics.splits)
        if (split)
            fmt::print("  {:<11} {}, {}\n", named(name, "(no split)"),
                       base::counted(static_cast<std::int64_t>(counts.images), "image"),
                       patients_text(counts.patients));
    for (const auto& counts : statistics.values) print_values(statistics, counts);
    for (const auto& range : statistics.numbers)
        fmt::print("\n{}: {:g} to {:g}, mean {:.4g}, {} not known\n", range.column, range.least, range.most,
                   range.mean, range.unknown);
    print_files(statistics.files);
}

void stats(const StatsFlags& flags, const Globals& globals) {
    const auto manifest = images::select(images::open(flags.source), flags.where);
    base::Countdown countdown(globals.quiet);
    const auto statistics = images::statistics_of(
        manifest, {.sample = flags.sample, .progress = [&countdown](std::size_t done, std::size_t all) {
                       countdown(static_cast<std::int64_t>(done), static_cast<std::int64_t>(all));
                   }});
    if (globals.json) {
        base::print_json(as_json(statistics), 2);
    } else {
        print(statistics, flags.source);
    }
}

}  // namespace

void add_data_stats(CLI::App& data, Globals& globals) {
    auto flags = std::make_shared<StatsFlags>();
    auto* verb =
        data.add_subcommand("stats", "Images, patients and labels of each split; sizes, bits and intensities");
    flags->add_to(*verb);
    verb->add_option("--sample", flags->sample, "How many files to open, spread over the manifest; 0: all")
        ->capture_default_str();
    verb->footer(
        "Examples:\n  hearth data stats chests.csv\n  hearth data stats chests.csv --sample 0 --json\n"
        "  hearth data stats folder/of/images --sample 50");
    verb->callback([flags, &globals] { stats(*flags, globals); });
}

}  // namespace hearth::cli
