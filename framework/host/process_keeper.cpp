#include "host/process_keeper.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <climits>
#include <cstdio>

namespace hearth::host {
namespace {

/// "" where it is gone.
std::string working_folder() {
    std::array<char, PATH_MAX> folder{};
    return ::getcwd(folder.data(), folder.size()) == nullptr ? "" : folder.data();
}

}  // namespace

ProcessKeeper::ProcessKeeper(std::string who) : who_(std::move(who)), folder_(working_folder()) {
    for (std::size_t i = 0; i < kept.size(); ++i) ::sigaction(kept[i], nullptr, &actions_[i]);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask_);
}

ProcessKeeper::~ProcessKeeper() {
    put_back();
}

void ProcessKeeper::put_back() const {
    for (std::size_t i = 0; i < kept.size(); ++i) ::sigaction(kept[i], &actions_[i], nullptr);
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    put_back_folder();
}

void ProcessKeeper::put_back_folder() const {
    const auto now = working_folder();
    if (now == folder_ || folder_.empty() || ::chdir(folder_.c_str()) != 0) return;
    std::fputs(fmt::format("warning: {} changed the working folder to {}; it is {} again\n", who_, now, folder_)
                   .c_str(),
               stderr);
}

}  // namespace hearth::host
