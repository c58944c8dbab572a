#include "dist/launch.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <hearth/error.hpp>

namespace hearth::dist {
namespace {

class Reader {
  public:
    Reader(const Environment& environment, std::string launcher)
        : environment_(environment), launcher_(std::move(launcher)) {}

    bool has(const std::string& name) const { return environment_(name).has_value(); }
    std::string text(const std::string& name) const {
        const auto value = environment_(name);
        if (!value || value->empty())
            throw RecipeError(fmt::format(
                "{} started this process, but found no {}, expected it in the environment", launcher_, name));
        return *value;
    }
    int number(const std::string& name) const {
        const auto written = text(name);
        int value = 0;
        const auto end = written.data() + written.size();
        const auto [stopped, error] = std::from_chars(written.data(), end, value);
        if (error != std::errc() || stopped != end || value < 0)
            throw RecipeError(
                fmt::format("{}: found \"{}\", expected a number from 0 ({} started this process)", name,
                            written, launcher_));
        return value;
    }
    /// Of SLURM's "2(x3),1" the 2: tasks of the first of the machines, which have as many as any other.
    int leading_number(const std::string& name) const {
        const auto written = text(name);
        const auto digits = written.find_first_not_of("0123456789");
        return digits == std::string::npos ? number(name) : std::max(1, std::atoi(written.c_str()));
    }
    int number_or(const std::string& name, int fallback) const { return has(name) ? number(name) : fallback; }

    Launch launch(const std::string& rank, const std::string& world, const std::string& local,
                  const std::string& local_world) const {
        Launch out;
        out.rank = number(rank);
        out.world = number(world);
        out.local_rank = number_or(local, out.rank);
        out.local_world = has(local_world) ? leading_number(local_world) : out.world;
        out.launcher = launcher_;
        if (out.rank >= out.world)
            throw RecipeError(
                fmt::format("found {} = {} and {} = {}, expected a rank below the number of processes", rank,
                            out.rank, world, out.world));
        return out;
    }

  private:
    const Environment& environment_;
    std::string launcher_;
};

std::optional<Launch> from_torchrun(const Environment& environment) {
    const Reader read(environment, "torchrun");
    if (!read.has("RANK") || !read.has("WORLD_SIZE")) return std::nullopt;
    auto out = read.launch("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE");
    if (out.world == 1) return out;
    out.address = read.text("MASTER_ADDR");
    out.port = read.number("MASTER_PORT");
    return out;
}

// SLURM_PROCID is set in the batch script too, which is alone; a step's tasks are counted by another variable.
std::optional<Launch> from_slurm(const Environment& environment) {
    const Reader read(environment, "srun");
    if (!read.has("SLURM_PROCID") || !read.has("SLURM_STEP_NUM_TASKS")) return std::nullopt;
    auto out =
        read.launch("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE");
    out.address =
        read.has("MASTER_ADDR") ? read.text("MASTER_ADDR") : first_host(read.text("SLURM_STEP_NODELIST"));
    out.port = read.number_or("MASTER_PORT", 20000 + read.number_or("SLURM_JOB_ID", 0) % 20000);
    return out;
}

std::optional<Launch> from_mpi(const Environment& environment) {
    const Reader read(environment, "mpirun");
    std::optional<Launch> out;
    if (read.has("OMPI_COMM_WORLD_RANK"))
        out = read.launch("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                          "OMPI_COMM_WORLD_LOCAL_SIZE");
    else if (read.has("PMI_RANK") && read.has("PMI_SIZE"))
        out = read.launch("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS");
    if (!out) return out;
    const bool one_machine = read.number_or("OMPI_COMM_WORLD_LOCAL_SIZE", 0) == out->world;
    out->address = one_machine && !read.has("MASTER_ADDR") ? "127.0.0.1" : read.text("MASTER_ADDR");
    out->port = read.number_or("MASTER_PORT", out->port);
    return out;
}

}  // namespace

Environment process_environment() {
    return [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
}

int share_of_cores(int allowed, int installed, int processes) {
    const bool shared_out = allowed * processes <= installed;
    return std::max(1, shared_out ? allowed : allowed / processes);
}

int cores_for(const Launch& launch) {
    const int installed = std::max(1, static_cast<int>(::sysconf(_SC_NPROCESSORS_CONF)));
    cpu_set_t mask;
    CPU_ZERO(&mask);
    const bool known = ::sched_getaffinity(0, sizeof(mask), &mask) == 0;
    return share_of_cores(known ? CPU_COUNT(&mask) : installed, installed, launch.local_world);
}

std::string first_host(const std::string& list) {
    const auto bracket = list.find('['), comma = list.find(',');
    if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
    const auto first = list.substr(bracket + 1, list.find_first_of(",-]", bracket + 1) - bracket - 1);
    return list.substr(0, bracket) + first;
}

std::optional<Launch> read_launch(const Environment& environment) {
    for (const auto& from : {from_torchrun, from_slurm, from_mpi})
        if (const auto found = from(environment)) return found->world > 1 ? found : std::nullopt;
    return std::nullopt;
}

}  // namespace hearth::dist
