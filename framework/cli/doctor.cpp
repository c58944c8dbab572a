// hearth doctor lists versions, devices and plugin folders, and what is wrong with them.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <nlohmann/json.hpp>
#include <opencv2/core/version.hpp>
#include <thread>

#include "base/json_text.hpp"
#include "base/size_text.hpp"
#include "cli/cli.hpp"
#include "dist/backend.hpp"
#include "host/cuda.hpp"
#include "host/library.hpp"
#include "train/image_cache.hpp"
#include "train/trainer.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

/// What data.cache = "auto" does here.
std::string kept_in_memory() {
    constexpr double film = 2.0 * 224 * 224;
    const double free = train::free_memory(), most = train::cache_share * free;
    return fmt::format("up to {} of {} free, {:.0f} films of 224 x 224; more are packed into a file",
                       base::size_text(most), base::size_text(free), most / film);
}

void doctor(Globals& globals) {
    nlohmann::json facts = {{"hearth", HEARTH_VERSION},
                            {"build", HEARTH_BUILD_IDENTITY},
                            {"libtorch", TORCH_VERSION},
                            {"libtorch_folder", host::libtorch_folder().string()},
                            {"libtorch_build", host::libtorch_has_cuda() ? "CUDA" : "CPU only"},
                            {"opencv", CV_VERSION},
                            {"cores", std::thread::hardware_concurrency()},
                            {"torch_threads", at::get_num_threads()},
                            {"cuda_devices", host::cuda_devices()},
                            {"bf16_on_cpu", train::use_bf16("auto", c10::kCPU)}};
    facts["images_in_memory"] = kept_in_memory();
    nlohmann::json folders = nlohmann::json::array(), problems = nlohmann::json::array();
    for (const auto& problem : {host::cuda_problem(), host::kernels_problem()})
        if (!problem.empty()) problems.push_back(problem);
    for (const auto& [key, device] :
         {std::pair("processes_cpu", c10::kCPU), std::pair("processes_gpu", c10::kCUDA)}) {
        const auto joined_by = dist::backend_on(device);
        facts[key] =
            joined_by.name.empty() ? "not joined: " + joined_by.missing : "joined by " + joined_by.name;
        if (joined_by.broken) problems.push_back(joined_by.missing);
    }
    std::vector<fs::path> named(globals.plugin_paths.begin(), globals.plugin_paths.end());
    host::SearchRequest request;
    request.from_command_line = named;
    for (const auto& entry : host::search_path(request)) {
        nlohmann::json folder = {{"folder", entry.folder.string()},
                                 {"origin", entry.origin},
                                 {"exists", fs::is_directory(entry.folder)}};
        nlohmann::json files = nlohmann::json::array();
        if (fs::is_directory(entry.folder)) {
            if (const auto unsafe = host::unsafe_folder(entry.folder); !unsafe.empty())
                problems.push_back(unsafe);
            for (const auto& file : fs::directory_iterator(entry.folder)) {
                const auto name = file.path().filename().string();
                if (!host::is_plugin_name(name)) continue;
                const auto wrong = host::check_file(file.path());
                files.push_back(name);
                if (!wrong.empty()) problems.push_back(wrong);
            }
        } else if (entry.origin != "user" && entry.origin != "installed") {
            problems.push_back(fmt::format("{}: no such folder ({})", entry.folder.string(), entry.origin));
        }
        folder["plugins"] = files;
        folders.push_back(folder);
    }
    if (globals.json) {
        facts["plugin_folders"] = folders;
        facts["problems"] = problems;
        base::print_json(facts, 2);
    } else {
        for (const auto& [key, value] : facts.items())
            fmt::print("{:<16} {}\n", key,
                       value.is_string() ? value.get<std::string>() : base::json_text(value));
        for (const auto& folder : folders)
            fmt::print("plugins          {} ({}): {}\n", folder["folder"].get<std::string>(),
                       folder["origin"].get<std::string>(),
                       folder["exists"].get<bool>() ? fmt::format("{} libraries", folder["plugins"].size())
                                                    : "not there");
        for (const auto& problem : problems) fmt::print("problem: {}\n", problem.get<std::string>());
        if (problems.empty()) fmt::print("nothing wrong found\n");
    }
    if (!problems.empty()) globals.exit_code = static_cast<int>(ExitCode::plugin);
}

}  // namespace

void add_doctor(CLI::App& app, Globals& globals) {
    auto* verb =
        app.add_subcommand("doctor", "Print versions, devices and plugin folders, and what is wrong with them");
    verb->footer("Examples:\n  hearth doctor\n  hearth doctor --plugin-path build/my-plugins --json");
    verb->callback([&globals] { doctor(globals); });
}

}  // namespace hearth::cli
