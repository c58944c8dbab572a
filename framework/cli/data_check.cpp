// hearth data check says what is wrong with a manifest and its files.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/countdown.hpp"
#include "base/counted.hpp"
#include "base/json_text.hpp"
#include "base/terminal_text.hpp"
#include "cli/data.hpp"
#include "images/check/manifest_check.hpp"
#include "images/filter.hpp"

namespace hearth::cli {
namespace {

using nlohmann::json;

struct CheckFlags : SourceArguments {
    bool strict = false, quick = false;
};

json as_json(const images::ManifestCheck& check, bool strict) {
    json bad = json::array(), findings = json::array();
    for (const auto& image : check.bad)
        bad.push_back({{"file", image.file},
                       {"line", image.line},
                       {"fault", images::to_string(image.fault)},
                       {"reason", image.reason}});
    for (const auto& finding : check.findings)
        findings.push_back({{"weight", images::to_string(finding.weight)},
                            {"kind", finding.kind},
                            {"text", finding.text},
                            {"count", finding.count},
                            {"examples", finding.examples}});
    return {{"images", check.images}, {"bad", bad}, {"findings", findings}, {"wrong", check.wrong(strict)}};
}

void print(const images::ManifestCheck& check, const std::string& source) {
    fmt::print("{}: {}, {} unreadable\n", source,
               base::counted(static_cast<std::int64_t>(check.images), "image"), check.bad.size());
    for (const auto& image : check.bad) base::print_text("  " + image.reason, stdout);
    for (const auto& finding : check.findings) {
        const auto count = finding.count > 0 ? fmt::format(" ({})", finding.count) : std::string();
        base::print_text(
            fmt::format("{}: {}: {}{}", images::to_string(finding.weight), finding.kind, finding.text, count),
            stdout);
        for (const auto& example : finding.examples) fmt::print("  {}\n", example);
        if (finding.count > finding.examples.size() && !finding.examples.empty()) fmt::print("  ...\n");
    }
}

void check(const CheckFlags& flags, const Globals& globals) {
    const auto manifest = images::select(images::open(flags.source), flags.where);
    base::Countdown countdown(globals.quiet);
    images::CheckOptions options;
    options.decode = !flags.quick;
    options.progress = [&countdown](std::size_t done, std::size_t all) {
        countdown(static_cast<std::int64_t>(done), static_cast<std::int64_t>(all));
    };
    const auto found = images::check_manifest(manifest, options);
    if (globals.json) {
        base::print_json(as_json(found, flags.strict), 2);
    } else {
        print(found, flags.source);
    }
    if (!found.bad.empty())
        throw DataError(fmt::format("{} of {} images cannot be read", found.bad.size(), found.images));
    if (found.wrong(flags.strict)) throw DataError(flags.source + ": something is wrong, see the list");
}

}  // namespace

void add_data_check(CLI::App& data, Globals& globals) {
    auto flags = std::make_shared<CheckFlags>();
    auto* verb = data.add_subcommand(
        "check", "Open every image; find unreadable files, duplicates, odd labels and patients in two splits");
    flags->add_to(*verb);
    verb->add_flag("--strict", flags->strict, "Warnings (duplicates, leakage, empty splits) are errors too");
    verb->add_flag("--quick", flags->quick, "Read files without decoding them; misses corrupt pixels");
    verb->footer(
        "Exit code 3 when something is wrong; docs/data.md lists what is looked for.\n\n"
        "Examples:\n  hearth data check chests.csv\n  hearth data check chests.csv --strict --where 'label == "
        "\"normal\"'");
    verb->callback([flags, &globals] { check(*flags, globals); });
}

}  // namespace hearth::cli
